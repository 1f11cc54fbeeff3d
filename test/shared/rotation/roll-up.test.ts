import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Ledger, SegmentProgress } from '../../../shared/ledger/ledger.ts';
import {
  type RoundProgress,
  readProgress,
  readRoundProgress,
  sumProgress,
} from '../../../shared/rotation/progress.ts';
import { addPages, rollUp } from '../../../shared/rotation/roll-up.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testJob, testPage } from '../../contracts/ledger.ts';
import { createFakeClock } from '../../support/clock.ts';
import { prepareWorlds } from '../../support/memory-world.ts';

const AT = '2026-01-01T00:00:00.000Z';
const CHUNKS = 3;
const RECORDS = 4;

/** A world is only needed for the shape of its dependencies. */
const worlds = await prepareWorlds();
const { deps: shape } = await worlds.makeWorld(createMemoryLedger());
await worlds.remove();
const depsOn = (ledger: Ledger) => ({ ...shape, ledger, clock: createFakeClock() });

async function planPages(ledger: Ledger, pages: number): Promise<void> {
  const segments = [{ index: 0, recordSet: 'people', segment: 's' }];
  await ledger.createRound({ jobId: 'job-1', round: 1, segments, createdAt: AT });
  for (let page = 0; page < pages; page++) {
    const chunks = Array.from({ length: CHUNKS }, (_, i) => ({ records: RECORDS, until: `${page}/${i}` }));
    const next = page === pages - 1 ? null : `${page}`;
    await ledger.createPage(testPage({ page, chunks, next, after: null }), AT);
  }
}

const report = (ledger: Ledger, page: number, chunk: number) =>
  ledger.reportChunks(
    { jobId: 'job-1', round: 1, segment: 0, page },
    [{ chunk, counts: { rewrapped: 1, skipped: 1, quarantined: 2 } }],
    AT,
  );

describe('rolling pages up', () => {
  it('counts only what is finished without a gap, in any order of reports, and nothing twice', async () => {
    const pages = 5;
    const all = Array.from({ length: pages * CHUNKS }, (_, i) => i);
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([...all, ...all], { minLength: all.length }),
        fc.array(fc.boolean(), { minLength: 30, maxLength: 30 }),
        async (order, looks) => {
          const ledger = createMemoryLedger();
          await planPages(ledger, pages);
          const deps = depsOn(ledger);
          const done = new Set<number>();
          for (const [i, at] of order.entries()) {
            await report(ledger, Math.floor(at / CHUNKS), at % CHUNKS);
            done.add(at);
            if (looks[i] !== true) continue;
            const { segment, open } = await rollUp(deps, 'job-1', 1, 0);
            const isDone = (page: number) => [0, 1, 2].every((chunk) => done.has(page * CHUNKS + chunk));
            const firstOpen = [0, 1, 2, 3, 4].findIndex((page) => !isDone(page));
            const lowWater = firstOpen === -1 ? pages : firstOpen;
            expect(segment).toMatchObject({
              lowWater,
              planned: lowWater * CHUNKS * RECORDS,
              rewrapped: lowWater * CHUNKS,
              skipped: lowWater * CHUNKS,
              quarantined: lowWater * CHUNKS * 2,
              finished: lowWater === pages,
            });
            expect(open.map(({ plan }) => plan.page)).toEqual([0, 1, 2, 3, 4].slice(lowWater));
            const progress = await readRoundProgress(deps, testJob(), 1);
            const { planned, rewrapped, skipped, quarantined, remaining } = progress;
            expect(rewrapped + skipped + quarantined + remaining).toBe(planned);
            expect({ planned, remaining }).toEqual({
              planned: pages * CHUNKS * RECORDS,
              remaining: (pages * CHUNKS - done.size) * RECORDS,
            });
          }
        },
      ),
      { numRuns: 60, seed: 3 },
    );
  });

  it('is the same by many at one time, over more pages than one read', async () => {
    const ledger = createMemoryLedger();
    await planPages(ledger, 120);
    for (let page = 0; page < 120; page++) for (const chunk of [2, 0, 1]) await report(ledger, page, chunk);
    const rolled = await Promise.all(Array.from({ length: 5 }, () => rollUp(depsOn(ledger), 'job-1', 1, 0)));
    for (const { segment, open } of rolled) {
      expect(segment).toMatchObject({ lowWater: 120, rewrapped: 360, finished: true });
      expect(open).toEqual([]);
    }
  });

  it('adds pages that follow: sums, mark, end', () => {
    const zero: SegmentProgress = {
      jobId: 'job-1',
      round: 1,
      segment: 0,
      lowWater: 2,
      planned: 10,
      rewrapped: 5,
      skipped: 3,
      quarantined: 2,
      finished: false,
      updatedAt: AT,
    };
    const page = {
      plan: testPage({ page: 2 }),
      planned: 8,
      done: [0, 1],
      rewrapped: 8,
      skipped: 0,
      quarantined: 0,
      updatedAt: AT,
    };
    const later = '2026-01-02T00:00:00.000Z';
    expect(addPages(zero, [page], later)).toEqual({
      ...zero,
      lowWater: 3,
      planned: 18,
      rewrapped: 13,
      updatedAt: later,
    });
    const last = {
      ...page,
      plan: testPage({ page: 3, next: null }),
      rewrapped: 0,
      skipped: 7,
      quarantined: 1,
    };
    expect(addPages(zero, [page, last], later)).toMatchObject({
      lowWater: 4,
      planned: 26,
      rewrapped: 13,
      skipped: 10,
      quarantined: 3,
      finished: true,
    });
  });
});

describe('the progress of all rounds', () => {
  const anyRound: fc.Arbitrary<RoundProgress> = fc
    .record({
      rewrapped: fc.nat(99),
      skipped: fc.nat(99),
      quarantined: fc.nat(99),
      remaining: fc.nat(99),
      listed: fc.boolean(),
    })
    .map((round) => ({
      round: 1,
      planned: round.rewrapped + round.skipped + round.quarantined + round.remaining,
      ...round,
    }));

  it('always adds up, and counts what was planned again once', () => {
    fc.assert(
      fc.property(fc.array(anyRound, { maxLength: 6 }), (rounds) => {
        const sum = sumProgress(rounds);
        expect(sum.rewrapped + sum.skipped + sum.quarantined + sum.remaining).toBe(sum.planned);
        expect(sum.remaining).toBe(rounds.at(-1)?.remaining ?? 0);
        expect(sum.listed).toBe(rounds.at(-1)?.listed ?? false);
      }),
      { seed: 4 },
    );
  });

  it('of a purge is none, and of a round that is not planned is nothing', async () => {
    const deps = depsOn(createMemoryLedger());
    expect(await readProgress(deps, testJob({ kind: 'purge', round: 1 }))).toEqual([]);
    expect(await readProgress(deps, testJob({ round: 1 }))).toEqual([
      { round: 1, planned: 0, rewrapped: 0, skipped: 0, quarantined: 0, remaining: 0, listed: false },
    ]);
  });
});
