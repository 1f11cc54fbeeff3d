import { types } from 'node:util';

/**
 * Waits until whatever runs has come to its next call of a port. All of it runs in microtasks, but for Web Cryptography,
 * which works in threads of its own: its calls are counted.
 */
export async function settled(): Promise<void> {
  do await new Promise(nextTurn);
  while (working > 0);
}

function nextTurn(resolve: (_: undefined) => void): void {
  setImmediate(resolve, undefined);
}

let working = 0;

const methods = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(crypto.subtle));
for (const [name, { value }] of Object.entries(methods)) {
  if (typeof value !== 'function' || name === 'constructor') continue;
  Object.defineProperty(crypto.subtle, name, {
    value: (...args: unknown[]): unknown => {
      const answer: unknown = Reflect.apply(value, crypto.subtle, args);
      if (!types.isPromise(answer)) return answer;
      working += 1;
      const done = () => {
        working -= 1;
      };
      answer.then(done, done);
      return answer;
    },
  });
}
