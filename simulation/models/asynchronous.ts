import type { EventFunctionName } from '../../functions/index.ts';
import type { Scheduler } from '../scheduler.ts';
import type { World } from '../world.ts';

/** Before the second try, and before the third. D/lambda/latest/dg/invocation-async-error-handling.html */
const PAUSES_MS: readonly number[] = [60_000, 120_000];

export interface Caller {
  readonly scheduler: Scheduler;
  readonly invoke: World['invoke'];
}

/** An asynchronous call of a function, as events and schedules make them: one that failed three times is lost. */
export function callAsynchronously(
  { scheduler, invoke }: Caller,
  name: EventFunctionName,
  event: object,
): void {
  const attempt = (failed: number) => {
    invoke(name, event).catch(() => {
      const pause = PAUSES_MS[failed];
      if (pause !== undefined) scheduler.after(pause, () => attempt(failed + 1));
    });
  };
  attempt(0);
}
