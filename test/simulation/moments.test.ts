import { expect, it } from 'vitest';
import { createMoments, MOMENTS, type Moment, momentIn } from '../../simulation/actors/moments.ts';
import { planOf } from '../../simulation/plan-of.ts';
import { testJob, testKey, testPage } from '../contracts/ledger.ts';
import { makeParts, runAll } from './support/parts.ts';

const KEY = { tenant: 'acme', purpose: 'default' };
const rotation = testJob();
const purge = testJob({ jobId: 'purge-1', kind: 'purge' });
const APPROVAL = { reason: 'APPROVAL', rootKeyId: null, by: null, at: '2026-01-01T00:00:00.000Z' } as const;

/** What the ledger commits, the last of which is the moment. */
const BRINGS: Readonly<Record<Moment, readonly (readonly [item: string, value: unknown])[]>> = {
  preparing: [['jobs', { ...rotation, status: 'PREPARING' }]],
  sweeping: [['jobs', { ...rotation, status: 'SWEEPING' }]],
  listed: [
    ['jobs', { ...rotation, status: 'SWEEPING' }],
    ['pages', { plan: testPage(), done: [] }],
  ],
  counting: [['jobs', { ...rotation, status: 'CENSUS' }]],
  retired: [['jobs', { ...rotation, status: 'COMPLETED' }]],
  fenced: [['jobs', { ...purge, status: 'CENSUS' }]],
  awaited: [['jobs', { ...purge, status: 'PAUSED', pause: APPROVAL }]],
  counted: [
    ['jobs', { ...purge, status: 'CENSUS' }],
    ['kept', { jobId: 'purge-1' }],
  ],
  decided: [['keys', decided()]],
};

function decided(): object {
  const key = testKey();
  const version = { ...key.versions['1'], destroyAuthorizedAt: '2026-01-01T00:00:00.000Z' };
  return { ...key, versions: { 1: version } };
}

it.each(Object.entries(BRINGS))('%s: once, after its delay, and at no other moment', async (name, items) => {
  const { scheduler } = makeParts(1);
  const moments = createMoments(scheduler);
  const came: [string, number][] = [];
  const began = scheduler.now();
  for (const moment of Object.keys(MOMENTS) as Moment[])
    moments.when(moment, KEY, 250, () => came.push([moment, scheduler.now() - began]));
  for (const [item, value] of [...items, ...items]) moments.see(item, value);
  await runAll(scheduler);
  expect(came).toContainEqual([name, 250]);
  expect(came.filter(([moment]) => moment === name)).toHaveLength(1);
  // What comes before it is a moment, too, where it takes two.
  expect(came).toHaveLength(items.length);
});

it('of another key: not', async () => {
  const { scheduler } = makeParts(1);
  const moments = createMoments(scheduler);
  const came: string[] = [];
  moments.when('sweeping', { ...KEY, tenant: 'birch' }, 0, () => came.push('of birch'));
  moments.when('sweeping', null, 0, () => came.push('of any'));
  moments.see('jobs', { ...rotation, status: 'SWEEPING' });
  await runAll(scheduler);
  expect(came).toEqual(['of any']);
});

it('plans wait for those that there are, and for each in some seeds', () => {
  const waited = new Set<string>();
  for (let seed = 0; seed < 2_000; seed++)
    for (const { choice } of planOf(seed).actions) {
      const moment = momentIn(choice);
      if (moment !== null) waited.add(moment);
    }
  expect([...waited].sort()).toEqual(Object.keys(MOMENTS).sort());
  expect(() => momentIn({ when: 'never' })).toThrow('There is no moment never');
});
