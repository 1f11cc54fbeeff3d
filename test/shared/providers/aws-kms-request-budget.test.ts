import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createRequestBudget } from '../../../shared/providers/aws-kms/request-budget.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** When each of so many calls may be sent, in milliseconds from now, in the order in which they were asked for. */
async function timesOf(rate: number, calls: number): Promise<readonly number[]> {
  const budget = createRequestBudget(rate);
  const began = performance.now();
  const taken = Array.from({ length: calls }, () =>
    budget.take(['key']).then(() => performance.now() - began),
  );
  await vi.runAllTimersAsync();
  return Promise.all(taken);
}

describe('the request budget of a root key', () => {
  it('lets the first call go at once', async () => {
    expect(await timesOf(1, 1)).toEqual([0]);
  });

  it('lets no second have more than its rate and a tenth, makes nobody fail, and is first come, first served', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 400 }),
        async (rate, calls) => {
          const times = await timesOf(rate, calls);
          expect(times).toEqual(times.toSorted((a, b) => a - b));
          const most = rate + Math.max(1, Math.floor(rate / 10));
          for (const from of times) {
            expect(times.filter((at) => at >= from && at < from + 1000).length).toBeLessThanOrEqual(most);
          }
          // It waits no longer than the rate asks for; timers have whole milliseconds.
          expect(times.at(-1)).toBeLessThanOrEqual((calls * 1000) / rate + calls);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('is one of its own for each root key, and a call with two keys waits for both', async () => {
    const budget = createRequestBudget(1);
    await budget.take(['a']);
    await budget.take(['b', 'b']);
    let done = false;
    const both = budget.take(['c', 'a']).then(() => {
      done = true;
    });
    await vi.advanceTimersByTimeAsync(900);
    expect(done).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    await both;
    expect(done).toBe(true);
  });
});
