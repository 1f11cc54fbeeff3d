import { describe, expect, it } from 'vitest';
import { createKek, seal } from '../../shared/envelope/index.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { createDice } from '../../simulation/dice.ts';
import { createFaults, type FaultKind, type Faults } from '../../simulation/faults.ts';
import { PAST } from '../../simulation/models/items.ts';
import { lagging, withFrozenIndex } from '../../simulation/models/lagging.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createMemoryRecordStore, type MemoryRecordStore } from '../../simulation/models/record-store.ts';

const KEY_ID = '01900000-0000-7000-8000-000000000001';

const faultsOf = (seed: number, ...kinds: FaultKind[]): Faults =>
  createFaults({ seed, kinds: new Set(kinds) }, createDice(seed, 'faults'), () => {});

const job = (revision: number, jobId = 'j'): Job =>
  ({ jobId, revision, kind: 'rotate', requestedAt: jobId }) as Partial<Job> as Job;

describe('a list that may lag', () => {
  it('answers as of moments that were, and other reads as it is', async () => {
    const ledger = createMemoryLedger();
    const faults = faultsOf(1, 'ledger-stale-list');
    const seen = lagging(ledger, faults);
    await seen.createJob(job(1));
    const listed: number[] = [];
    for (let revision = 2; revision <= 300; revision++) {
      await seen.replaceJob(job(revision));
      const [found] = await seen.listJobs();
      if (found !== undefined) listed.push(revision - found.revision);
      expect(await seen.getJob('j')).toMatchObject({ revision });
    }
    expect(listed.filter((lag) => lag === 0).length).toBeGreaterThan(150);
    const lags = listed.filter((lag) => lag > 0);
    expect(lags.length).toBeGreaterThan(20);
    expect(Math.max(...lags)).toBeLessThanOrEqual(PAST);
    expect(faults.fired.get('ledger-stale-list')).toBeGreaterThanOrEqual(lags.length);
  });

  it('lacks what was created since, has what was deleted since, and filters what it has', async () => {
    const ledger = createMemoryLedger();
    for (const id of ['a', 'b', 'c']) await ledger.createJob(job(1, id));
    const idsOf = async (changes: number) =>
      (await ledger.asOf(changes).listJobs({ kind: 'rotate' })).map(({ jobId }) => jobId);
    expect(await idsOf(1)).toEqual(['b', 'a']);
    expect(await idsOf(2)).toEqual(['a']);
    expect(await idsOf(99)).toEqual([]);
    expect((await ledger.listJobs()).length).toBe(3);
    const record = { keyId: KEY_ID, recordSet: 'people', recordId: ['1'], field: 'email' };
    const entry = { ...record, tenant: 'acme', purpose: 'default', code: 'X', version: 1, jobId: '', at: '' };
    await ledger.putQuarantined(entry);
    await ledger.deleteQuarantined(record);
    expect(await ledger.asOf(1).listQuarantined(KEY_ID)).toEqual([entry]);
  });

  it('lags with what was left for the chain, too, and remembers only so far back', async () => {
    const ledger = createMemoryLedger();
    const event = { eventId: 'e', at: '', actor: '', type: 't', detail: {}, tenant: '', afterSequence: 0 };
    await ledger.leaving(event).createJob(job(1));
    const [open] = await ledger.listOpenOutboxes();
    if (open === undefined) throw new Error('nothing is open');
    await ledger.closeOutbox(open, 1);
    expect(await ledger.listOpenOutboxes()).toEqual([]);
    expect(await ledger.asOf(1).listOpenOutboxes()).toEqual([open]);
    for (let revision = 2; revision < 4 * PAST; revision++) await ledger.replaceJob(job(revision));
    const [oldest] = await ledger.asOf(10 * PAST).listJobs();
    expect(oldest?.revision).toBeGreaterThan(PAST);
    const [old] = await ledger.asOf(PAST).listJobs();
    expect(old?.revision).toBe(3 * PAST - 1);
  });

  it('never lags where the port says that it is strongly consistent, or once faults have stopped', async () => {
    const ledger = createMemoryLedger();
    const faults = faultsOf(1, 'ledger-stale-list');
    const seen = lagging(ledger, faults);
    const lists = [
      'scanKeys',
      'listRestores',
      'listAuditEntries',
      'listStoredCensuses',
      'listApprovals',
    ] as const;
    for (const list of lists) expect(seen[list]).toBe(ledger[list]);
    await seen.createJob(job(1));
    faults.stop();
    for (let i = 0; i < 50; i++) expect((await seen.listJobs()).length).toBe(1);
  });
});

describe('an index that stands still', () => {
  const SCOPE = { tenant: 'acme', keyId: KEY_ID };
  const envelope = (version: number) =>
    seal(
      Buffer.from('text'),
      createKek({ keyId: KEY_ID, version, key: new Uint8Array(32) }),
      { tenant: 'acme', recordSet: 'people', recordId: ['1'], field: 'email' },
      (buffer) => buffer.fill(version),
    );
  const put = (store: MemoryRecordStore, id: number, version: number) =>
    store.put({ key: [String(id)], tenant: 'acme', values: [envelope(version)], plaintext: [null] });

  it('lists what was stale when it stopped, for a while, and then what is; reads and counts are true throughout', async () => {
    const store = createMemoryRecordStore('people', ['email']);
    const faults = faultsOf(1, 'index-frozen');
    const seen = withFrozenIndex(store, faults);
    put(store, 1, 1);
    const [segment = ''] = await seen.segments(SCOPE, 1);
    const wrong: boolean[] = [];
    for (let id = 2; id <= 120; id++) {
      put(store, id, 1);
      const { keys } = await seen.listStale(SCOPE, 2, segment, null, 1000);
      wrong.push(keys.length !== id);
      expect(keys.length).toBeLessThanOrEqual(id);
      expect((await seen.read([[String(id)]]))[0]).not.toBeNull();
      expect(await seen.census(SCOPE, segment, 'tenant')).toMatchObject({ rows: id, versions: { 1: id } });
    }
    expect(wrong).toContain(true);
    expect(wrong).toContain(false);
    // It goes on after it stopped.
    expect(wrong.lastIndexOf(false)).toBeGreaterThan(wrong.indexOf(true));
    expect(faults.fired.get('index-frozen')).toBeGreaterThan(1);
    faults.stop();
    for (let i = 0; i < 30; i++)
      expect((await seen.listStale(SCOPE, 2, segment, null, 1000)).keys.length).toBe(120);
  });
});
