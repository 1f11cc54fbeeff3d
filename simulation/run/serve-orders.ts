import { setImmediate } from 'node:timers/promises';
import type { Answer, Order } from './messages.ts';
import { guarded, runSeed, type Simulator, shrinkSeed } from './seed-result.ts';

/** Carries out what a worker is told, one order at a time. */
export function serveOrders(
  simulator: Simulator,
  send: (answer: Answer) => void,
): (order: Order) => Promise<void> {
  const safe = guarded(simulator);
  return async (order) => {
    if (order.kind === 'run') {
      for (const seed of order.seeds) {
        send({ kind: 'begun', seed });
        // A seed never comes to a turn of the event loop, in which answers leave the process.
        await setImmediate();
        send({ kind: 'done', result: await runSeed(safe, seed, order.twice) });
      }
    } else {
      const { seed, violation, milliseconds } = order;
      send({ kind: 'shrunk', seed, ...(await shrinkSeed(safe, seed, violation, milliseconds)) });
    }
    send({ kind: 'ready' });
  };
}
