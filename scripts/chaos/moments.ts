import type { ComposedDeps } from '../../shared/deps/compose.ts';

/** Moments at which a process may die that a clock seldom meets: right before and right after a call that changes something. */

/** `before ledger.replaceKey`, `after queue.send`. The call waits until it resolves. */
export type OnMoment = (what: string) => Promise<void>;

const CHANGING = /^(create|replace|report|advance|put|delete|send|start|fill|generate|destroy)/;

export function watchMoments(deps: ComposedDeps, onMoment: OnMoment): ComposedDeps {
  const watch = <T extends object>(name: string, port: T): T => watchPort(name, port, onMoment);
  const stores = new Map<string, ReturnType<ComposedDeps['recordSets']['store']>>();
  return {
    ...deps,
    ledger: watch('ledger', deps.ledger),
    provider: watch('provider', deps.provider),
    queue: watch('queue', deps.queue),
    executions: watch('executions', deps.executions),
    recordSets: {
      ...deps.recordSets,
      store(name) {
        const store = stores.get(name) ?? watch('records', deps.recordSets.store(name));
        stores.set(name, store);
        return store;
      },
    },
  };
}

function watchPort<T extends object>(port: string, inner: T, onMoment: OnMoment): T {
  return new Proxy(inner, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      if (typeof name !== 'string' || !CHANGING.test(name)) return member.bind(target);
      return async (...values: unknown[]) => {
        await onMoment(`before ${port}.${name}`);
        const result: unknown = await Reflect.apply(member, target, values);
        await onMoment(`after ${port}.${name}`);
        return result;
      };
    },
  });
}
