import type { Answer, Order } from '../../../simulation/run/messages.ts';
import { serveOrders } from '../../../simulation/run/serve-orders.ts';
import { FAKE } from './fake-simulator.ts';

const send = (answer: Answer): void => {
  process.send?.(answer);
};
const serve = serveOrders(FAKE, send);
process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => void serve(order));
send({ kind: 'ready' });
