import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { type EmbeddedPostgres, startPostgres } from '../../local/postgres.ts';
import { startStack } from '../../local/stack.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { createPinoLog } from '../../shared/log/pino-log.ts';
import { createDice } from '../../simulation/dice.ts';
import { watchMoments } from './moments.ts';
import { LAST_MOMENT, orderSchema, type StackNews } from './orders.ts';
import { createFaultyQueue } from './queue-faults.ts';

/**
 * The embedded stack in a process of its own, which chaos kills. It hears orders over the IPC channel, and ends when
 * whoever started it is gone. Arguments: folder, configuration, seed, name of its dice. Its standard error is the log.
 */

const [dir, configPath, seed, name] = z
  .tuple([z.string(), z.string(), z.coerce.number(), z.string()])
  .parse(process.argv.slice(2));
const POSTGRES_SETTINGS = { fsync: 'off' };
const VISIBILITY_SECONDS = 2;
/** Of a worker's writes. */
const HELD = 0.3;
const LONGEST_HOLD_MS = 400;

const tell = (news: StackNews) => process.send?.(news);
process.on('disconnect', () => process.exit(1));

const dice = createDice(seed, name);
const sockets = new Set<Socket>();
// Each connection that one of the servers in this process takes.
subscribe('net.server.socket', (message) => {
  const { socket } = z.object({ socket: z.instanceof(Socket) }).parse(message);
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
});

const queue = createFaultyQueue(createDice(seed, `${name}, queue`), (counts) =>
  tell({ type: 'queue', counts }),
);
let momentsLeft = Number.POSITIVE_INFINITY;
async function onMoment(what: string): Promise<void> {
  momentsLeft -= 1;
  if (momentsLeft > 0) return hold(what);
  // Nothing that is sent now would arrive.
  writeFileSync(join(dir, LAST_MOMENT), what);
  process.kill(process.pid, 'SIGKILL');
}

/** Between its read and its write a worker is slow now and then, so that the application comes in between. */
async function hold(what: string): Promise<void> {
  if (!what.startsWith('before records.replace') || !dice.chance(HELD)) return;
  tell({ type: 'held' });
  await sleep(dice.below(LONGEST_HOLD_MS));
}

const stack = await startStack({
  dir,
  loaded: await loadConfig(configPath),
  environment: {},
  log: createPinoLog(process.stderr, 'warn'),
  sweepSeconds: 1,
  visibilitySeconds: VISIBILITY_SECONDS,
  postgresSettings: POSTGRES_SETTINGS,
  instrument: queue.instrument,
  decorate: (deps) => watchMoments(deps, onMoment),
});
let postgres: Pick<EmbeddedPostgres, 'pid' | 'stop'> | null = stack.postgres;

process.on('message', async (message) => {
  const order = orderSchema.parse(message);
  let count = 0;
  if (order.do === 'queue') queue.set(order.faults);
  else if (order.do === 'die') momentsLeft = order.moments;
  else if (order.do === 'cut') {
    for (const socket of sockets) {
      if (!dice.chance(order.share)) continue;
      socket.destroy();
      count += 1;
    }
  } else {
    postgres = await startPostgres({ dir: join(dir, 'postgres'), settings: POSTGRES_SETTINGS });
  }
  tell({ type: 'done', count, postgresPid: postgres?.pid ?? null });
});
process.on('SIGTERM', async () => {
  await stack.stop();
  await postgres?.stop();
  process.exit(0);
});
// The group's Ctrl-C is for whoever started this.
process.on('SIGINT', () => undefined);
tell({ type: 'ready', info: stack.info, postgresPid: postgres?.pid ?? null });
// As it will not end by itself.
flushCompileCache();
