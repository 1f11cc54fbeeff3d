import { expect, it } from 'vitest';
import { openAudit } from '../../../shared/audit/open-audit.ts';
import { keepJobCensus } from '../../../shared/census/keep-census.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testCensus, testJob } from '../../contracts/ledger.ts';
import { createFakeClock } from '../../support/clock.ts';

it('A repeated step keeps a census once; one that counted anew keeps another, with an entry of its own', async () => {
  const store = createMemoryLedger();
  const { ledger } = openAudit(store, createFakeClock(), 'test');
  const job = testJob();
  const first = testCensus('2026-01-01T00:00:00.000Z');
  const anew = testCensus('2026-01-01T00:00:00.700Z');
  for (const result of [first, first, anew]) await keepJobCensus({ ledger }, job, 1, 2, result);
  const kept = await store.listStoredCensuses(job.keyId, 10);
  expect(kept.map(({ result }) => result.takenAt)).toEqual([anew.takenAt, first.takenAt]);
  const entries = await store.listAuditEntries(job.tenant, 1, 10);
  expect(entries.map(({ entry }) => entry?.eventId).sort()).toEqual(
    kept.map(({ censusId }) => `census/${censusId}`).sort(),
  );
  expect(new Set(kept.map(({ censusId }) => censusId)).size).toBe(2);
});
