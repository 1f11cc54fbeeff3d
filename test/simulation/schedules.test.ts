import { describe, expect, it } from 'vitest';
import { SCHEDULES } from '../../local/event-parts.ts';
import { startSchedules } from '../../simulation/actors/schedules.ts';
import type { FaultKind, Faults } from '../../simulation/faults.ts';
import { makeParts, runAll, START, surely } from './support/parts.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const EVERY = { sweep: 2 * HOUR, monitor: 20 * MINUTE, rootKeys: 30 * MINUTE, exportAudit: 40 * MINUTE };
const HORIZON = 24 * HOUR;

interface Call {
  /** Milliseconds since the start. */
  readonly at: number;
  readonly name: string;
  readonly event: unknown;
}

interface Setup {
  readonly seed?: number;
  readonly kinds?: readonly FaultKind[];
  readonly faults?: Faults;
  readonly fails?: (call: Call) => boolean;
}

async function runSchedules({ seed = 1, kinds, fails = () => false, ...given }: Setup = {}) {
  const { scheduler, dice, ...made } = makeParts(seed, kinds);
  const calls: Call[] = [];
  const invoke = async (name: string, event: unknown) => {
    const call = { at: scheduler.now() - START, name, event };
    calls.push(call);
    if (fails(call)) throw new Error('it failed');
  };
  startSchedules({ scheduler, dice, faults: given.faults ?? made.faults, invoke }, EVERY);
  await runAll(scheduler, START + HORIZON);
  const timesOf = (name: string) => calls.filter((call) => call.name === name).map(({ at }) => at);
  return { calls, timesOf };
}

const gaps = (times: readonly number[]) => times.slice(1).map((at, i) => at - (times[i] ?? 0));

describe('the schedules', () => {
  it('call what events/schedules.json names, with its input, until the end', async () => {
    const { calls, timesOf } = await runSchedules();
    const seen = new Map(calls.map(({ name, event }) => [name, event]));
    expect([...seen].sort()).toEqual(
      Object.values(SCHEDULES)
        .map((schedule) => [schedule.function, schedule.input ?? {}])
        .sort(),
    );
    expect(['sweep', 'monitor', 'kms-event', 'export-audit'].map((name) => timesOf(name).length)).toEqual([
      12, 72, 48, 36,
    ]);
  });

  it('are exact where they have no flexible window, and near it where they have one', async () => {
    const { timesOf } = await runSchedules();
    expect(new Set(gaps(timesOf('monitor')))).toEqual(new Set([EVERY.monitor]));
    const sweeps = timesOf('sweep');
    expect(new Set(gaps(sweeps)).size).toBeGreaterThan(1);
    const late = sweeps.map((at, i) => at - i * EVERY.sweep);
    // However often they were late, the next one is not later for it.
    expect(Math.max(...late) - Math.min(...late)).toBeLessThanOrEqual(EVERY.sweep / 24);
  });

  it('begin at another time with another seed', async () => {
    const firsts = await Promise.all(
      [1, 2, 3].map(async (seed) => (await runSchedules({ seed })).timesOf('sweep')[0]),
    );
    expect(new Set(firsts).size).toBe(3);
  });

  it('have a failed call tried twice more, and go on', async () => {
    const { timesOf } = await runSchedules({ fails: ({ name }) => name === 'sweep' });
    const times = timesOf('sweep');
    const [first = 0, second = 0, third = 0] = times;
    expect([second - first, third - second]).toEqual([MINUTE, 2 * MINUTE]);
    expect(times.length).toBeGreaterThanOrEqual(34);
    expect(timesOf('monitor')).toHaveLength(72);
  });
});

describe('faults of the schedules', () => {
  it('schedule-lost: nobody is called that time', async () => {
    const { calls } = await runSchedules({ faults: surely(['schedule-lost'], 100) });
    expect(calls).toHaveLength(12 + 72 + 48 + 36 - 100);
  });

  it('schedule-doubled: called again, at once or minutes later', async () => {
    const { calls } = await runSchedules({ faults: surely(['schedule-doubled'], 100) });
    expect(calls).toHaveLength(12 + 72 + 48 + 36 + 100);
    const { timesOf } = await runSchedules({ faults: surely(['schedule-doubled']) });
    const between = gaps(timesOf('monitor'));
    expect(Math.min(...between)).toBeLessThan(1_000);
    expect(between.filter((gap) => gap > MINUTE && gap < 10 * MINUTE).length).toBeGreaterThan(10);
  });

  it('do the same again with the same seed, and something else with another', async () => {
    const run = async (seed: number) =>
      JSON.stringify((await runSchedules({ seed, kinds: ['schedule-lost', 'schedule-doubled'] })).calls);
    expect(await run(7)).toBe(await run(7));
    expect(await run(7)).not.toBe(await run(8));
  });
});
