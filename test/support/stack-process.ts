import { startStack } from '../../local/stack.ts';
import { loadConfig } from '../../shared/config/load.ts';
import type { ComposedDeps } from '../../shared/deps/compose.ts';
import { createPinoLog } from '../../shared/log/pino-log.ts';

/**
 * A stack in a process of its own, to be killed. Arguments: folder, configuration, and after how many moments it
 * kills itself: a moment is just before or just after a call that changes anything.
 */

const [dir, configPath, moments] = process.argv.slice(2);
if (dir === undefined || configPath === undefined)
  throw new Error('Usage: stack-process <dir> <config> [moments]');
let left = moments === undefined ? Number.POSITIVE_INFINITY : Number(moments);

function moment(): void {
  left -= 1;
  if (left <= 0) process.kill(process.pid, 'SIGKILL');
}

const CHANGING = /^(create|replace|report|advance|put|delete|send|start|fill|generate|destroy)/;

function watch<T extends object>(port: T): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      if (typeof name !== 'string' || !CHANGING.test(name)) return member.bind(target);
      return async (...values: unknown[]) => {
        moment();
        const result: unknown = await Reflect.apply(member, target, values);
        moment();
        return result;
      };
    },
  });
}

function decorate(deps: ComposedDeps): ComposedDeps {
  const stores = new Map<string, ReturnType<ComposedDeps['recordSets']['store']>>();
  return {
    ...deps,
    ledger: watch(deps.ledger),
    provider: watch(deps.provider),
    queue: watch(deps.queue),
    executions: watch(deps.executions),
    recordSets: {
      ...deps.recordSets,
      store(name) {
        const store = stores.get(name) ?? watch(deps.recordSets.store(name));
        stores.set(name, store);
        return store;
      },
    },
  };
}

const stack = await startStack({
  dir,
  loaded: await loadConfig(configPath),
  environment: {},
  log: createPinoLog(process.stderr, 'error'),
  sweepSeconds: 1,
  postgresSettings: { fsync: 'off' },
  decorate,
});
process.stdout.write(`${JSON.stringify(stack.info)}\n`);
process.on('SIGTERM', () => void stack.stop().then(() => process.exit(0)));
