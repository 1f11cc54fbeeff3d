import { planOf } from '../plan-of.ts';
import { simulate } from '../simulate.ts';
import type { Answer, Order } from './messages.ts';
import { serveOrders } from './serve-orders.ts';

/** A process that runs seeds for simulation/main.ts. */

const send = (answer: Answer): void => {
  process.send?.(answer);
};
const serve = serveOrders({ planOf, simulate }, send);
// Ctrl-C goes to all processes of a terminal; this one ends with the one that started it.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => void serve(order));
send({ kind: 'ready' });
