import { hash, KeyObject, verify, type webcrypto } from 'node:crypto';
import { types } from 'node:util';

/**
 * Waits until whatever runs has come to its next call of a port. All of it runs in microtasks, but for Web Cryptography,
 * which works in threads of its own. What is used of it most is done at once instead, by the same OpenSSL; other calls are
 * counted, and waited for in turns of the event loop.
 */
export function settled(): Promise<void> {
  return new Promise(afterMicrotasks);
}

type Resolve = (_: undefined) => void;

/** What is put from a microtask comes when no microtask is left: https://nodejs.org/api/process.html#processnexttickcallback-args */
function afterMicrotasks(resolve: Resolve): void {
  process.nextTick(resolveIfIdle, resolve);
}

function resolveIfIdle(resolve: Resolve): void {
  if (working === 0) resolve(undefined);
  else setImmediate(resolveIfIdle, resolve);
}

/** By method: what it answers, or undefined: it is left to the threads. */
const AT_ONCE: Readonly<Record<string, (...args: never[]) => unknown>> = {
  digest(algorithm: unknown, data: ArrayBuffer | NodeJS.ArrayBufferView) {
    if (algorithm !== 'SHA-256') return undefined;
    const bytes = ArrayBuffer.isView(data) ? data : new Uint8Array(data);
    return new Uint8Array(hash('sha256', bytes, 'buffer')).buffer;
  },
  verify(algorithm: unknown, key: webcrypto.CryptoKey, signature: Uint8Array, data: Uint8Array) {
    if (key.algorithm.name !== 'Ed25519' || !key.usages.includes('verify')) return undefined;
    return isEd25519(algorithm) ? verify(null, data, KeyObject.from(key), signature) : undefined;
  },
};

function isEd25519(algorithm: unknown): boolean {
  if (typeof algorithm !== 'object' || algorithm === null) return algorithm === 'Ed25519';
  return 'name' in algorithm && algorithm.name === 'Ed25519';
}

let working = 0;

const methods = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(crypto.subtle));
for (const [name, { value }] of Object.entries(methods)) {
  if (typeof value !== 'function' || name === 'constructor') continue;
  Object.defineProperty(crypto.subtle, name, {
    value: (...args: never[]): unknown => {
      const atOnce = AT_ONCE[name]?.(...args);
      if (atOnce !== undefined) return Promise.resolve(atOnce);
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
