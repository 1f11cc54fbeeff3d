import { beforeEach, describe, expect, it } from 'vitest';
import { linkEntry } from '../../shared/audit/chain.ts';
import type { LedgerStore, PendingEvent } from '../../shared/audit/outbox.ts';
import { testJob, testKey, testRequest } from './ledger.ts';

/** What every ledger must do for the audit. `makeLedger` gives an empty one. */

const AT = '2026-01-01T00:00:00.000Z';
const WHO = { at: AT, actor: 'function:test', type: 'test.event', detail: { n: 1, list: ['a'], no: null } };

function pending(eventId: string, changes: Partial<PendingEvent> = {}): PendingEvent {
  return { tenant: 'acme', eventId, ...WHO, afterSequence: 0, ...changes };
}

export function describeAuditStore(name: string, makeLedger: () => Promise<LedgerStore>): void {
  describe(`${name}: the audit's part`, () => {
    let ledger: LedgerStore;
    beforeEach(async () => {
      ledger = await makeLedger();
    });
    const open = async () => (await ledger.listOpenOutboxes()).map(({ event }) => event.eventId).sort();
    const closeAll = async () => {
      for (const outbox of await ledger.listOpenOutboxes()) await ledger.closeOutbox(outbox, 7);
    };

    it('keeps entries in order, each place once', async () => {
      expect(await ledger.lastAuditEntry('acme')).toBeNull();
      let head: { last: number; hash: string | null } = { last: 0, hash: null };
      const entries = [];
      for (let i = 1; i <= 12; i++) {
        const entry = linkEntry('acme', { eventId: `e${i}`, ...WHO }, head);
        expect(await ledger.createAuditEntry(entry)).toBe(true);
        expect(await ledger.createAuditEntry({ ...entry, eventId: 'other' })).toBe(false);
        entries.push({ sequence: i, entry, genuine: true });
        head = { last: i, hash: entry.hash };
      }
      expect(await ledger.listAuditEntries('acme', 1, 100)).toEqual(entries);
      expect(await ledger.listAuditEntries('acme', 10, 2)).toEqual(entries.slice(9, 11));
      expect(await ledger.lastAuditEntry('acme')).toEqual(entries[11]);
      expect(await ledger.listAuditEntries('acme#', 1, 100)).toEqual([]);
    });

    it('leaves the event in the item of the same write', async () => {
      expect(await ledger.readKey('acme', 'default')).toBeNull();
      expect(await ledger.readJob('job-1')).toBeNull();
      await ledger.leaving(pending('k1')).createKey(testKey());
      await ledger.leaving(pending('j1')).createJob(testJob());
      expect(await ledger.readKey('acme', 'default')).toEqual({ item: testKey(), outbox: pending('k1') });
      expect(await ledger.readJob('job-1')).toEqual({ item: testJob(), outbox: pending('j1') });
      await ledger.leaving(pending('k2')).replaceKey(testKey({ revision: 2, restoreEpoch: 1 }));
      expect((await ledger.readKey('acme', 'default'))?.outbox).toEqual(pending('k2'));
      expect(await ledger.getKey('acme', 'default')).toEqual(testKey({ revision: 2, restoreEpoch: 1 }));
      expect(await open()).toEqual(['j1', 'k2']);
    });

    it('leaves no event of a write that was refused', async () => {
      await ledger.leaving(pending('k1')).createKey(testKey());
      expect((await ledger.leaving(pending('k1 again')).createKey(testKey())).status).toBe('exists');
      await expect(
        ledger.leaving(pending('k9')).replaceKey(testKey({ revision: 9, restoreEpoch: 1 })),
      ).rejects.toMatchObject({ code: 'REVISION_CONFLICT' });
      expect(await open()).toEqual(['k1']);
    });

    it('closes an outbox of that event, and of no later one', async () => {
      await ledger.leaving(pending('k1')).createKey(testKey());
      const stale = await ledger.listOpenOutboxes();
      await closeAll();
      expect((await ledger.readKey('acme', 'default'))?.outbox).toEqual({ eventId: 'k1', sequence: 7 });
      expect(await open()).toEqual([]);
      await ledger.leaving(pending('k2')).replaceKey(testKey({ revision: 2 }));
      for (const outbox of stale) await ledger.closeOutbox(outbox, 1);
      expect(await open()).toEqual(['k2']);
      // The item is as it was, and listed as it was.
      expect(await ledger.listKeys()).toEqual([testKey({ revision: 2 })]);
    });

    it('shows the outbox of a job that is over until it is closed', async () => {
      await ledger.leaving(pending('j1')).createJob(testJob());
      const ended = testJob({ revision: 2, status: 'COMPLETED' });
      await ledger.leaving(pending('j2')).replaceJob(ended);
      expect(await open()).toEqual(['j2']);
      expect(await ledger.listJobs()).toEqual([ended]);
      await closeAll();
      expect(await open()).toEqual([]);
      expect(await ledger.listJobs()).toEqual([ended]);
      expect(await ledger.listJobs({ statuses: ['COMPLETED'] })).toEqual([ended]);
      expect(await ledger.readJob('job-1')).toMatchObject({ item: ended, outbox: { sequence: 7 } });
    });

    it('finds a stored census by its id and key while its outbox is open, and when it is closed', async () => {
      const census = {
        ...{ censusId: 'c1', keyId: testKey().keyId, tenant: 'acme', purpose: 'default', active: 2 },
        ...{ version: 1, restoreEpoch: 0, jobId: null, attempt: null, round: null },
        result: {
          ...{ takenAt: AT, takenBy: 'test', reach: 'tenant' as const, coverage: {}, excluded: [] },
          ...{ undeclared: null, onVersion: 0, stale: 0, malformed: 0, foreign: 0 },
        },
      };
      await ledger.leaving(pending('census/c1')).putStoredCensus(census);
      await ledger.createAuditEvent(pending('kms/1'));
      for (const ids of [['census/c1', 'kms/1'], []]) {
        expect(await open()).toEqual(ids);
        expect(await ledger.findStoredCensus('c1')).toEqual(census);
        expect(await ledger.listStoredCensuses(census.keyId, 10)).toEqual([census]);
        expect(await ledger.findStoredCensus('c2')).toBeNull();
        await closeAll();
      }
    });

    it('lists a request for approval once, while its outbox is open and when it is closed', async () => {
      const made = ['r1', 'r2', 'r3'].map((requestId) => testRequest({ requestId }));
      for (const request of made)
        await ledger.leaving(pending(`request/${request.requestId}`)).createApprovalRequest(request);
      const listed = async () => (await ledger.listApprovalRequests()).map(({ requestId }) => requestId);
      expect(await open()).toEqual(['request/r1', 'request/r2', 'request/r3']);
      expect(await listed()).toEqual(['r3', 'r2', 'r1']);
      const [first] = await ledger.listOpenOutboxes();
      if (first !== undefined) await ledger.closeOutbox(first, 7);
      expect(await open()).toHaveLength(2);
      expect(await listed()).toEqual(['r3', 'r2', 'r1']);
      await closeAll();
      expect(await open()).toEqual([]);
      expect(await listed()).toEqual(['r3', 'r2', 'r1']);
      expect(await ledger.getApprovalRequest('r1')).toEqual(made[0]);
    });

    it('keeps an event of no item once, and shows it until it is closed', async () => {
      expect(await ledger.createAuditEvent(pending('kms/1'))).toEqual({
        status: 'created',
        item: pending('kms/1'),
      });
      expect(await ledger.createAuditEvent(pending('kms/1', { afterSequence: 5 }))).toEqual({
        status: 'exists',
        item: pending('kms/1'),
      });
      expect((await ledger.createAuditEvent(pending('kms/1', { tenant: 'other' }))).status).toBe('created');
      expect(await open()).toEqual(['kms/1', 'kms/1']);
      await closeAll();
      expect(await open()).toEqual([]);
      expect(await ledger.createAuditEvent(pending('kms/1'))).toEqual({
        status: 'exists',
        item: { eventId: 'kms/1', sequence: 7 },
      });
    });

    it('moves an export mark from one revision to the next only', async () => {
      const mark = { tenant: 'acme', sequence: 0, planned: 5, revision: 1 };
      expect(await ledger.getExportMark('acme')).toBeNull();
      expect(await ledger.putExportMark({ ...mark, revision: 2 })).toBe(false);
      expect(await ledger.putExportMark(mark)).toBe(true);
      expect(await ledger.putExportMark(mark)).toBe(false);
      expect(await ledger.putExportMark({ ...mark, sequence: 5, planned: null, revision: 2 })).toBe(true);
      expect(await ledger.getExportMark('acme')).toEqual({
        ...mark,
        sequence: 5,
        planned: null,
        revision: 2,
      });
      expect(await ledger.listExportMarks()).toHaveLength(1);
    });
  });
}
