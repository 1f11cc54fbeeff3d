import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { composeLocal } from '../../local/stack.ts';
import { embeddedUrl, isAlive, type StackInfo } from '../../local/stack-info.ts';
import type { LoadedConfig } from '../../shared/config/load.ts';
import type { ComposedDeps } from '../../shared/deps/compose.ts';
import { silentLog } from '../../shared/log/log.ts';
import { LAST_MOMENT, type Order, type StackNews, stackNewsSchema } from './orders.ts';
import type { QueueCounts } from './queue-faults.ts';

/** The stack's process as chaos holds it: started, ordered about, killed, started again on the same folder. */
export interface Victim {
  /** By which this process reaches the stack that runs now, or ran last. */
  readonly deps: ComposedDeps;
  /** Of the application's database. */
  readonly databaseUrl: string;
  /** Throws when the stack does not come up. */
  start(): Promise<void>;
  /** Returns how many connections it cut; 0 for any other order. */
  order(order: Order): Promise<number>;
  /** SIGKILL. `hard`: PostgreSQL gets no time to end in order either. */
  kill(hard: boolean): Promise<void>;
  /**
   * As kill, but at that moment of the stack's own (see moments.ts). Returns which it was; null: none came, and it was
   * killed anyhow.
   */
  killAt(moments: number, hard: boolean): Promise<string | null>;
  freeze(): void;
  thaw(): void;
  stopPostgres(how: 'fast' | 'crash'): Promise<void>;
  /** In order, as a person would. Throws when it does not end. */
  stop(): Promise<void>;
  /** Whatever runs, at once. */
  destroy(): Promise<void>;
}

export interface VictimOptions {
  readonly dir: string;
  readonly loaded: LoadedConfig;
  readonly seed: number;
  readonly database: string;
  readonly onQueue: (counts: QueueCounts) => void;
  /** A worker was held up between its read and its write. */
  readonly onHeld: () => void;
}

const SCRIPT = fileURLToPath(new URL('stack-process.ts', import.meta.url));
const STOP_MS = 30_000;
const LOOK_MS = 20;
/** Where nothing is changed any more, no moment comes. */
const MOMENT_MS = 2_000;

export function createVictim({ dir, loaded, seed, database, onQueue, onHeld }: VictimOptions): Victim {
  let child: ChildProcess | null = null;
  let exited: Promise<unknown> = Promise.resolve();
  let postgresPid: number | null = null;
  let info: StackInfo | null = null;
  let deps: ComposedDeps | null = null;
  let starts = 0;
  /** Of stacks that were killed: somebody may be in the middle of a call, so they are closed at the end. */
  const former: ComposedDeps[] = [];
  let waiting: ((news: StackNews) => void) | null = null;

  const log = join(dir, 'stack.log');

  function hear(message: unknown): void {
    const news = stackNewsSchema.parse(message);
    if (news.type === 'queue') {
      onQueue(news.counts);
      return;
    }
    if (news.type === 'held') {
      onHeld();
      return;
    }
    postgresPid = news.postgresPid;
    waiting?.(news);
  }

  /** What the process says next; null: it ended. */
  function news(): Promise<StackNews | null> {
    const said = new Promise<StackNews>((resolve) => {
      waiting = resolve;
    });
    return Promise.race([said, exited.then(() => null)]);
  }

  async function untilGone(pid: number | null): Promise<void> {
    const end = performance.now() + STOP_MS;
    while (pid !== null && isAlive(pid)) {
      if (performance.now() > end) throw new Error(`Process ${pid} does not end`);
      await sleep(LOOK_MS);
    }
  }

  async function closeAll(): Promise<void> {
    for (const each of [...former.splice(0), deps]) await each?.close();
    deps = null;
  }

  const victim: Victim = {
    get deps() {
      if (deps === null) throw new Error('No stack was started');
      return deps;
    },
    get databaseUrl() {
      const url = embeddedUrl(info?.postgresUrl ?? null)?.(database);
      if (url === undefined) throw new Error('The stack has no PostgreSQL');
      return url;
    },
    async start() {
      const errors = await open(log, 'a', 0o600);
      starts += 1;
      const args = [join(dir, 'stack'), loaded.path, String(seed), `start ${starts}`];
      child = fork(SCRIPT, args, {
        stdio: ['ignore', 'ignore', errors.fd, 'ipc'],
        // It starts often: what Node made of the source files is kept.
        env: { ...process.env, NODE_COMPILE_CACHE: join(dir, 'compile-cache') },
      });
      await errors.close();
      exited = once(child, 'exit');
      child.on('message', hear);
      child.on('error', () => undefined);
      const first = await news();
      if (first?.type !== 'ready') {
        throw new Error(`The stack did not start (start ${starts}): ${await lastLine(log)}`);
      }
      info = first.info;
      if (deps !== null) former.push(deps);
      deps = await composeLocal(info, { loaded, environment: {}, log: silentLog, actor: 'person:chaos' });
    },
    async order(order) {
      const answer = news();
      child?.send(order);
      const said = await answer;
      if (said?.type !== 'done') throw new Error(`The stack ended by itself: ${await lastLine(log)}`);
      return said.count;
    },
    async kill(hard) {
      if (hard && postgresPid !== null) signal(postgresPid, 'SIGQUIT');
      child?.kill('SIGKILL');
      await exited;
    },
    async killAt(moments, hard) {
      const moment = join(dir, 'stack', LAST_MOMENT);
      await rm(moment, { force: true });
      child?.send({ do: 'die', moments } satisfies Order);
      await Promise.race([exited, sleep(MOMENT_MS)]);
      await victim.kill(hard);
      return readFile(moment, 'utf8').catch(() => null);
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    async stopPostgres(how) {
      if (postgresPid === null) return;
      signal(postgresPid, how === 'fast' ? 'SIGINT' : 'SIGQUIT');
      await untilGone(postgresPid);
    },
    async stop() {
      child?.kill('SIGTERM');
      const timer = AbortSignal.timeout(STOP_MS);
      const ended = await Promise.race([exited.then(() => true), once(timer, 'abort').then(() => false)]);
      await closeAll();
      if (!ended) throw new Error('The stack does not stop');
      if (child?.exitCode !== 0) throw new Error(`The stack did not stop in order: ${await lastLine(log)}`);
      await untilGone(postgresPid);
    },
    async destroy() {
      // A process that stands still ends by SIGKILL too.
      await victim.kill(true);
      await untilGone(postgresPid);
      await closeAll();
    },
  };
  return victim;
}

function signal(pid: number, name: NodeJS.Signals): void {
  if (isAlive(pid)) process.kill(pid, name);
}

async function lastLine(file: string): Promise<string> {
  const lines = (await readFile(file, 'utf8').catch(() => '')).trim().split('\n');
  return lines.at(-1) || 'its log says nothing';
}
