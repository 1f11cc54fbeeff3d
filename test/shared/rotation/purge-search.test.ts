import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PartResult } from '../../../shared/census/search-results.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import {
  Crash,
  fill,
  KEY,
  prepareWorlds,
  stateOf,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 6);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
  world.passGrace();
});

const purge = async () => (await requestPurge(world.deps, { ...KEY, version: 1 })).job.jobId;

const column = { table: 'public.old', column: 'card', materialized: false, envelopes: 5 };
const FINDINGS: Readonly<Record<string, PartResult>> = {
  'envelopes of the key': { found: [{ ...column, ofKey: 2, onVersion: 0 }], unsearched: [] },
  'what there was no time for': {
    found: [],
    unsearched: [{ table: 'public.old', columns: ['card'], reason: 'TIME' }],
  },
};

describe('a purge and what nobody declared', () => {
  it.each(Object.keys(FINDINGS))('is blocked by %s, by name, and goes on when that is gone', async (name) => {
    world.elsewhere.found = FINDINGS[name] ?? world.elsewhere.found;
    const jobId = await purge();
    expect(await runPurge(world, jobId)).toBe(false);
    expect(await world.job(jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'UNDECLARED_ENVELOPES', message: expect.stringContaining('main.public.old') },
    });
    expect(await stateOf(world, 1)).toBe('RETIRING');
    world.elsewhere.found = { found: [], unsearched: [] };
    // The first count that finds nothing begins the grace anew.
    expect(await runPurge(world, await purge())).toBe(false);
    world.passGrace();
    expect(await runPurge(world, await purge())).toBe(true);
  });

  it.each([
    ['the search of an earlier release', [], 'notes, people'],
    ['one that declares less', ['notes email', 'notes phone', 'people email'], 'people'],
  ])('is blocked where the declared columns were not counted twice: %s', async (_, columns, named) => {
    const declared = columns.map((text) => {
      const [table = '', column = ''] = text.split(' ');
      return { table, column, onVersion: 0 };
    });
    world.elsewhere.found = { found: [], declared, unsearched: [] };
    const jobId = await purge();
    expect(await runPurge(world, jobId)).toBe(false);
    expect((await world.job(jobId)).blocker).toMatchObject({
      code: 'RECORD_SET_CHANGED',
      message: expect.stringMatching(new RegExp(`did not read these as declared.*: ${named}$`)),
    });
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });

  it('is blocked where a segment was counted by an earlier release, which did not say what it read', async () => {
    const jobId = await purge();
    const destroyed = await runPurge(world, jobId, async (name, step) => {
      if (name === 'DestroyVersion') {
        const [first] = await world.ledger.listSegmentCensus(jobId, 'attempt-1-round-1');
        if (first === undefined) throw new Error('nothing was counted');
        const { read: _, ...silent } = first;
        await world.ledger.putSegmentCensus(silent);
      }
      return step();
    });
    expect(destroyed).toBe(false);
    expect((await world.job(jobId)).blocker).toMatchObject({
      code: 'RECORD_SET_CHANGED',
      message: expect.stringContaining(': notes (email, phone)'),
    });
  });

  it('is not blocked by envelopes of other keys and by what cannot be read, and keeps both in its census', async () => {
    world.elsewhere.found = {
      found: [{ ...column, ofKey: 0, onVersion: 0 }],
      unsearched: [{ table: 'hidden.t', columns: ['a'], reason: 'RIGHTS' }],
    };
    const jobId = await purge();
    expect(await runPurge(world, jobId)).toBe(true);
    const { keyId } = await world.key();
    const kept = await world.ledger.listStoredCensuses(keyId, 10);
    expect(kept.map((census) => census.jobId === jobId)).toEqual([true, false]);
    expect(kept[0]).toMatchObject({
      ...{ version: 1, active: 2, attempt: 1, restoreEpoch: 0 },
      result: {
        reach: 'everywhere',
        onVersion: 0,
        takenBy: expect.stringContaining(jobId),
        undeclared: [{ store: 'main', ...column, ofKey: 0, onVersion: 0 }],
        coverage: { people: { store: 'main', table: 'people', columns: ['email', 'phone'], others: 0 } },
      },
    });
    expect(kept[0]?.result.excluded).toContainEqual({
      ...{ store: 'main', table: 'hidden.t', columns: ['a'], why: 'RIGHTS' },
    });
    // A rotation's census is of the tenant's rows, and looks for nothing else.
    expect(kept[1]).toMatchObject({ version: 1, active: 2, result: { reach: 'tenant', undeclared: null } });
    expect((await world.job(jobId)).census).toEqual(kept[0]?.result);
  });

  it('searches in the segments after those that are counted, and no census goes without', async () => {
    const jobId = await purge();
    let searched = 0;
    world.faults.after = (call) => {
      if (call === 'search.search') searched += 1;
    };
    await runPurge(world, jobId);
    const plan = await world.ledger.getRound(jobId, 1);
    const searches = plan?.segments.filter(({ search }) => search !== undefined) ?? [];
    expect(searches).toEqual([
      { index: (plan?.segments.length ?? 0) - 1, recordSet: '', segment: 'all', search: 'main' },
    ]);
    expect(searched).toBe(1);
  });

  it('is kept once under a crash at every call around the census', async () => {
    for (const call of [
      'search.parts',
      'search.search',
      'ledger.putSegmentCensus',
      'ledger.putStoredCensus',
    ]) {
      for (const moment of ['before', 'after'] as const) {
        world = await worlds.makeWorld(createMemoryLedger());
        await fill(world, 4);
        const { job } = await requestRotation(world.deps, KEY);
        await runRotation(world, job.jobId);
        world.passGrace();
        const jobId = await purge();
        let left = 1;
        world.faults[moment] = (made) => {
          if (made === call && left-- > 0) throw new Crash(call);
        };
        expect(await untilDone(world, () => runPurge(world, jobId))).toBe(1);
        expect(await stateOf(world, 1)).toBe('DESTROYED');
        const { keyId } = await world.key();
        const kept = await world.ledger.listStoredCensuses(keyId, 10);
        expect(new Set(kept.map(({ censusId }) => censusId)).size).toBe(2);
        // Counted anew by the repeat, at another time, or kept by both as the same one.
        expect(kept.filter((census) => census.jobId === jobId).length).toBeLessThanOrEqual(2);
      }
    }
  });
});
