import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Approval, ApprovalRequest } from '../../shared/approvals/approval.ts';
import type { StoredCertificate } from '../../shared/certificates/certificate.ts';
import type { CanaryUse, TenantKey } from '../../shared/keyring/key.ts';
import { createTenantKey } from '../../shared/keyring/versions.ts';
import type {
  ChunkCounts,
  Ledger,
  PagePlan,
  PageRef,
  QuarantinedRecord,
  SegmentProgress,
} from '../../shared/ledger/ledger.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import type { CensusResult, Job, StoredCensus } from '../../shared/rotation/rotation.ts';

/** What every ledger must do. `makeLedger` gives an empty one. */

const AT = '2026-01-01T00:00:00.000Z';
const LATER = '2026-01-02T00:00:00.000Z';
const KEY_ID = '01900000-0000-7000-8000-000000000001';

export function testKey(changes: Partial<TenantKey> = {}): TenantKey {
  const names = { keyId: KEY_ID, tenant: 'acme', purpose: 'default' };
  const wrapped = { rootKeyId: 'local:1', materialId: null, wrapped: Uint8Array.of(0, 1, 255) };
  return { ...createTenantKey(names, { wrapped, provider: 'local', at: AT }), ...changes };
}

export function testJob(changes: Partial<Job> = {}): Job {
  return {
    jobId: 'job-1',
    kind: 'rotate',
    tenant: 'acme',
    purpose: 'default',
    keyId: KEY_ID,
    from: 1,
    to: 2,
    mode: 'rewrap',
    goal: 'NEW_VERSION',
    recordSets: ['customers'],
    status: 'REQUESTED',
    attempt: 1,
    round: 0,
    maxRounds: 5,
    chunkSize: 500,
    segments: 4,
    recordsPerSecond: null,
    times: { barrierSeconds: 420, graceSeconds: 3024000, stallSeconds: 900 },
    requestedBy: 'test',
    requestedAt: AT,
    startedAt: null,
    barrierUntil: null,
    fencedAt: null,
    completedAt: null,
    purgeNotBefore: null,
    restoreEpoch: 0,
    blocker: null,
    pause: null,
    census: null,
    approvalId: null,
    cancelled: null,
    revision: 1,
    ...changes,
  };
}

export function testPage(changes: Partial<PagePlan> = {}): PagePlan {
  return {
    jobId: 'job-1',
    round: 1,
    segment: 0,
    page: 0,
    after: null,
    chunks: [
      { records: 5, until: 'e' },
      { records: 3, until: 'h' },
    ],
    next: 'h',
    ...changes,
  };
}

const NONE: ChunkCounts = { rewrapped: 0, skipped: 0, quarantined: 0 };

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

export function describeLedger(name: string, makeLedger: () => Promise<Ledger>): void {
  describe(`${name}: ledger contract`, () => {
    let ledger: Ledger;
    beforeEach(async () => {
      ledger = await makeLedger();
    });

    describe('keys', () => describeKeys(() => ledger));
    describe('jobs', () => describeJobs(() => ledger));
    describe('rounds and pages', () => describePlans(() => ledger));
    describe('chunks', () => describeChunks(() => ledger));
    describe('segments', () => describeSegments(() => ledger));
    describe('census', () => describeCensus(() => ledger));
    describe('kept censuses', () => describeStoredCensuses(() => ledger));
    describe('quarantine', () => describeQuarantine(() => ledger));
    describe('restores', () => describeRestores(() => ledger));
    describe('approvals', () => describeApprovals(() => ledger));
    describe('certificates', () => describeCertificates(() => ledger));

    it('checks itself', async () => {
      await expect(ledger.check()).resolves.toBeUndefined();
    });
  });
}

const RESTORE: Restore = {
  restoreId: 'restore-1',
  store: 'main',
  backupTime: AT,
  backupEnd: AT,
  status: 'BEGUN',
  keys: null,
  requestedBy: 'test',
  begunAt: AT,
  readyAt: null,
  endedAt: null,
  refusal: null,
  revision: 1,
};

function describeRestores(ledger: () => Ledger): void {
  it('are created once, replaced on condition of their revision, and listed newest first', async () => {
    expect(await ledger().getRestore('restore-1')).toBeNull();
    expect(await ledger().createRestore(RESTORE)).toEqual({ status: 'created', item: RESTORE });
    const again = await ledger().createRestore({ ...RESTORE, store: 'other' });
    expect(again).toEqual({ status: 'exists', item: RESTORE });
    const later = { ...RESTORE, restoreId: 'restore#2', begunAt: LATER };
    await ledger().createRestore(later);
    const ready: Restore = { ...RESTORE, status: 'READY', keys: 7, readyAt: LATER, revision: 2 };
    await ledger().replaceRestore(ready);
    await expect(ledger().replaceRestore({ ...RESTORE, revision: 2 })).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
    });
    expect(await ledger().getRestore('restore-1')).toEqual(ready);
    expect(await ledger().listRestores()).toEqual([later, ready]);
  });
}

const ODD_NAMES = [
  'plain',
  'with space',
  'a#b',
  'a#',
  '#b',
  'a/b',
  'a%23b',
  'KEY#x',
  'ümläut',
  '日本語',
  '😀👩‍👩‍👧',
  '\u0000\u001f',
  'quote\'"',
  '..',
  'x'.repeat(256),
  '漢'.repeat(256),
];

function describeKeys(ledger: () => Ledger): void {
  it('is created once and read back exactly', async () => {
    const key = testKey();
    expect(await ledger().getKey('acme', 'default')).toBeNull();
    expect(await ledger().createKey(key)).toEqual({ status: 'created', item: key });
    expect(await ledger().getKey('acme', 'default')).toEqual(key);
    const other = testKey({ keyId: '01900000-0000-7000-8000-000000000002' });
    expect(await ledger().createKey(other)).toEqual({ status: 'exists', item: key });
  });

  it.each(['different', 'identical'])(
    'of 20 concurrent creates of %s keys exactly one wins',
    async (kind) => {
      const results = await Promise.all(
        range(20).map((i) =>
          ledger().createKey(
            testKey(kind === 'different' ? { keyId: `01900000-0000-7000-8000-0000000000${10 + i}` } : {}),
          ),
        ),
      );
      expect(results.filter(({ status }) => status === 'created')).toHaveLength(1);
      expect(new Set(results.map(({ item }) => item.keyId)).size).toBe(1);
    },
  );

  it('of 20 concurrent replaces of one revision exactly one wins', async () => {
    await ledger().createKey(testKey());
    const results = await Promise.allSettled(
      range(20).map((i) => ledger().replaceKey(testKey({ revision: 2, rotationId: `rotation-${i}` }))),
    );
    const won = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
    expect(won).toHaveLength(1);
    expect((await ledger().getKey('acme', 'default'))?.rotationId).toBe(`rotation-${won[0]}`);
    for (const result of results) {
      if (result.status === 'rejected') {
        expect(result.reason).toMatchObject({
          name: 'LedgerError',
          code: 'REVISION_CONFLICT',
          retryable: true,
        });
      }
    }
  });

  it('takes the repeat of a committed replace as done, and nothing else', async () => {
    await ledger().createKey(testKey());
    const next = testKey({ revision: 2, rotationId: 'r' });
    await ledger().replaceKey(next);
    await expect(ledger().replaceKey(next)).resolves.toBeUndefined();
    const conflict = { code: 'REVISION_CONFLICT' };
    await expect(ledger().replaceKey({ ...next, rotationId: 's' })).rejects.toMatchObject(conflict);
    await expect(ledger().replaceKey({ ...next, revision: 4 })).rejects.toMatchObject(conflict);
    await expect(ledger().replaceKey(testKey({ tenant: 'nobody', revision: 2 }))).rejects.toMatchObject(
      conflict,
    );
    expect(await ledger().getKey('nobody', 'default')).toBeNull();
  });

  describe('what was used', () => {
    const use: CanaryUse = {
      version: 1,
      at: AT,
      recordSet: 'customers',
      recordId: ['a', 'ü/#'],
      field: 'phone',
    };

    it('is marked on a key that is there, whatever its revision, and the last mark stands', async () => {
      expect(await ledger().markUsed('acme', 'default', use)).toBe(false);
      expect(await ledger().getKey('acme', 'default')).toBeNull();
      await ledger().createKey(testKey());
      expect(await ledger().markUsed('acme', 'default', use)).toBe(true);
      const later = { ...use, at: LATER, recordSet: null, recordId: null, field: null };
      expect(await ledger().markUsed('acme', 'default', later)).toBe(true);
      expect(await ledger().getKey('acme', 'default')).toEqual(testKey({ canary: later }));
      expect(await ledger().listKeys()).toEqual([testKey({ canary: later })]);
    });

    it('is marked without its record where that has a key that is too long: the version is what counts', async () => {
      await ledger().createKey(testKey());
      // 8 KiB of JSON, in UTF-8.
      const others = Buffer.byteLength(JSON.stringify({ ...use, field: 'ü', recordId: [''] }));
      const fits = { ...use, field: 'ü', recordId: ['x'.repeat(8192 - others)] };
      expect(await ledger().markUsed('acme', 'default', fits)).toBe(true);
      expect((await ledger().getKey('acme', 'default'))?.canary).toEqual(fits);
      const longer = { ...fits, recordId: [`${fits.recordId[0]}x`] };
      expect(await ledger().markUsed('acme', 'default', longer)).toBe(true);
      const { version, at } = use;
      expect((await ledger().getKey('acme', 'default'))?.canary).toEqual({
        ...{ version, at },
        ...{ recordSet: null, recordId: null, field: null },
      });
    });

    it('is never overwritten by who read the key before it was marked', async () => {
      await ledger().createKey(testKey());
      await ledger().markUsed('acme', 'default', use);
      const conflict = { code: 'REVISION_CONFLICT' };
      await expect(ledger().replaceKey(testKey({ revision: 2 }))).rejects.toMatchObject(conflict);
      await ledger().replaceKey(testKey({ revision: 2, canary: use }));
      await ledger().markUsed('acme', 'default', { ...use, at: LATER });
      await expect(ledger().replaceKey(testKey({ revision: 3, canary: use }))).rejects.toMatchObject(
        conflict,
      );
    });

    it('does not make a repeated replace a conflict', async () => {
      await ledger().createKey(testKey());
      await ledger().replaceKey(testKey({ revision: 2 }));
      await ledger().markUsed('acme', 'default', use);
      await expect(ledger().replaceKey(testKey({ revision: 2 }))).resolves.toBeUndefined();
      expect(await ledger().getKey('acme', 'default')).toEqual(testKey({ revision: 2, canary: use }));
    });

    it('is taken back only as it was read', async () => {
      await ledger().createKey(testKey());
      expect(await ledger().clearUsed('acme', 'default', use)).toBe(false);
      await ledger().markUsed('acme', 'default', use);
      expect(await ledger().clearUsed('acme', 'default', { ...use, at: LATER })).toBe(false);
      expect(await ledger().clearUsed('acme', 'default', use)).toBe(true);
      expect(await ledger().getKey('acme', 'default')).toEqual(testKey());
      expect(await ledger().clearUsed('nobody', 'default', use)).toBe(false);
    });

    it('and a change of the key at the same time: none is lost', async () => {
      await ledger().createKey(testKey());
      const marks = range(10).map((i) =>
        ledger().markUsed('acme', 'default', { ...use, recordId: [String(i)] }),
      );
      const [replaced, ...marked] = await Promise.all([
        ledger()
          .replaceKey(testKey({ revision: 2 }))
          .then(
            () => true,
            () => false,
          ),
        ...marks,
      ]);
      expect(marked).toEqual(marks.map(() => true));
      const key = await ledger().getKey('acme', 'default');
      expect(key?.canary).not.toBeNull();
      expect(key?.revision).toBe(replaced ? 2 : 1);
    });
  });

  it('keeps a destroyed version without its blob', async () => {
    const version = testKey().versions['1'];
    if (version === undefined) throw new Error('no version 1');
    const key = testKey({
      versions: { '1': { ...version, state: 'DESTROYED', wrapped: null, destroyedAt: AT } },
    });
    await ledger().createKey(key);
    expect(await ledger().getKey('acme', 'default')).toEqual(key);
  });

  it('keeps odd tenants and purposes apart, and lists them in order', async () => {
    const names = ODD_NAMES.flatMap((tenant) => [
      { tenant, purpose: 'p' },
      { tenant: 'p', purpose: tenant },
    ]);
    for (const { tenant, purpose } of names) {
      expect((await ledger().createKey(testKey({ tenant, purpose }))).status).toBe('created');
    }
    for (const { tenant, purpose } of names) {
      expect(await ledger().getKey(tenant, purpose)).toMatchObject({ tenant, purpose });
    }
    const listed = (await ledger().listKeys()).map(({ tenant, purpose }) => ({ tenant, purpose }));
    const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
    const inOrder = names.toSorted((a, b) => compare(a.tenant, b.tenant) || compare(a.purpose, b.purpose));
    expect(listed).toEqual(inOrder);
    // Also among items of other kinds, and past the megabyte that one answer of a scan holds.
    const next = 'x'.repeat(350_000);
    for (const page of range(4)) await ledger().createPage(testPage({ page, next }), AT);
    expect(await ledger().scanKeys()).toEqual(await ledger().listKeys());
  });

  it('refuses a tenant that is not well-formed text', async () => {
    await expect(ledger().getKey('\ud800', 'p')).rejects.toMatchObject({ code: 'LEDGER_ITEM_INVALID' });
    await expect(ledger().createKey(testKey({ tenant: '\ud800' }))).rejects.toMatchObject({
      code: 'LEDGER_ITEM_INVALID',
    });
  });
}

function describeJobs(ledger: () => Ledger): void {
  it('is created once, also by 20 at a time', async () => {
    const results = await Promise.all(
      range(20).map((i) => ledger().createJob(testJob({ requestedBy: `${i}` }))),
    );
    expect(results.filter(({ status }) => status === 'created')).toHaveLength(1);
    expect(new Set(results.map(({ item }) => item.requestedBy)).size).toBe(1);
    expect(await ledger().getJob('job-1')).toEqual(results[0]?.item);
    expect(await ledger().getJob('job-2')).toBeNull();
  });

  it('is replaced by revision', async () => {
    await ledger().createJob(testJob());
    const next = testJob({
      revision: 2,
      status: 'BLOCKED',
      blocker: { code: 'STEP_FAILED', message: '', at: AT },
      census: testCensus(AT),
    });
    await ledger().replaceJob(next);
    await ledger().replaceJob(next);
    expect(await ledger().getJob('job-1')).toEqual(next);
    await expect(ledger().replaceJob(testJob({ revision: 2 }))).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
    });
  });

  it('is listed newest first, by kind and status', async () => {
    await ledger().createJob(testJob({ jobId: 'a', requestedAt: '2026-01-01T00:00:00.000Z' }));
    await ledger().createJob(testJob({ jobId: 'b', requestedAt: '2026-01-03T00:00:00.000Z', kind: 'purge' }));
    await ledger().createJob(
      testJob({ jobId: 'c', requestedAt: '2026-01-02T00:00:00.000Z', status: 'BLOCKED' }),
    );
    const ids = async (filter?: Parameters<Ledger['listJobs']>[0]) =>
      (await ledger().listJobs(filter)).map(({ jobId }) => jobId);
    expect(await ids()).toEqual(['b', 'c', 'a']);
    expect(await ids({ kind: 'rotate' })).toEqual(['c', 'a']);
    expect(await ids({ statuses: ['BLOCKED', 'COMPLETED'] })).toEqual(['c']);
    expect(await ids({ kind: 'adopt' })).toEqual([]);
  });

  it('is listed as it stands after each change: ended, and taken up again', async () => {
    await ledger().createJob(testJob({ jobId: 'a', requestedAt: '2026-01-01T00:00:00.000Z' }));
    await ledger().createJob(testJob({ jobId: 'b', requestedAt: '2026-01-02T00:00:00.000Z' }));
    const ids = async (statuses?: readonly Job['status'][]) =>
      (await ledger().listJobs(statuses === undefined ? {} : { statuses })).map(({ jobId }) => jobId);
    const change = (status: Job['status'], revision: number) =>
      ledger().replaceJob(testJob({ jobId: 'b', requestedAt: '2026-01-02T00:00:00.000Z', status, revision }));
    await change('COMPLETED', 2);
    expect(await ids()).toEqual(['b', 'a']);
    expect(await ids(['REQUESTED'])).toEqual(['a']);
    expect(await ids(['COMPLETED'])).toEqual(['b']);
    await change('REQUESTED', 3);
    expect(await ids(['REQUESTED'])).toEqual(['b', 'a']);
    expect(await ids(['COMPLETED'])).toEqual([]);
  });
}

function describePlans(ledger: () => Ledger): void {
  it('fixes a round once', async () => {
    const plan = {
      jobId: 'job-1',
      round: 1,
      segments: range(3).map((index) => ({
        index,
        recordSet: 'customers',
        segment: index === 0 ? '' : `s${index}`,
        ...(index === 2 && { search: 'main' }),
      })),
      createdAt: AT,
    };
    expect(await ledger().getRound('job-1', 1)).toBeNull();
    expect((await ledger().createRound(plan)).status).toBe('created');
    const again = await ledger().createRound({ ...plan, segments: [], createdAt: LATER });
    expect(again).toEqual({ status: 'exists', item: plan });
    expect(await ledger().getRound('job-1', 1)).toEqual(plan);
    expect(await ledger().getRound('job-1', 2)).toBeNull();
  });

  it('fixes a page once, and a repeat keeps its progress', async () => {
    expect((await ledger().createPage(testPage(), AT)).status).toBe('created');
    await reportChunk(ledger(), { ...testPage(), chunk: 0 }, { ...NONE, rewrapped: 5 }, LATER);
    const again = await ledger().createPage(testPage({ chunks: [], next: null }), LATER);
    expect(again).toEqual({ status: 'exists', item: testPage() });
    expect(await ledger().listPages('job-1', 1, 0, 0, 10)).toEqual([
      { plan: testPage(), planned: 8, done: [0], ...NONE, rewrapped: 5, updatedAt: LATER },
    ]);
  });

  it('lists pages in the order of their numbers, from one on, up to a limit, of one segment only', async () => {
    const pages = [0, 1, 2, 9, 10, 11, 100, 1000];
    for (const page of pages.toReversed()) await ledger().createPage(testPage({ page }), AT);
    await ledger().createPage(testPage({ segment: 1, page: 5 }), AT);
    await ledger().createPage(testPage({ segment: 10, page: 5 }), AT);
    await ledger().createPage(testPage({ round: 2, page: 5 }), AT);
    await ledger().createPage(testPage({ jobId: 'job-10', page: 5 }), AT);
    const numbers = async (from: number, limit: number) =>
      (await ledger().listPages('job-1', 1, 0, from, limit)).map(({ plan }) => plan.page);
    expect(await numbers(0, 100)).toEqual(pages);
    expect(await numbers(2, 3)).toEqual([2, 9, 10]);
    expect(await numbers(1001, 3)).toEqual([]);
  });

  it('reads on past one answer of the database (1 MB)', async () => {
    const until = 'u'.repeat(100_000);
    const chunks = [
      { records: 1, until },
      { records: 1, until },
    ];
    for (const page of range(12)) await ledger().createPage(testPage({ page, chunks }), AT);
    expect(await ledger().listPages('job-1', 1, 0, 0, 100)).toHaveLength(12);
    expect(await ledger().listPages('job-1', 1, 0, 1, 9)).toHaveLength(9);
  });

  it('refuses an item that is too large, by a clear error', async () => {
    const chunks = range(5).map(() => ({ records: 1, until: 'u'.repeat(100_000) }));
    await expect(ledger().createPage(testPage({ chunks }), AT)).rejects.toMatchObject({
      code: 'LEDGER_ITEM_INVALID',
      message: expect.stringContaining('limit'),
    });
  });
}

function describeChunks(ledger: () => Ledger): void {
  it('counts a chunk once, however often and at once it is reported', async () => {
    await ledger().createPage(testPage(), AT);
    const counts = { rewrapped: 3, skipped: 1, quarantined: 1 };
    const results = await Promise.all(
      range(20).map(() => reportChunk(ledger(), { ...testPage(), chunk: 0 }, counts, LATER)),
    );
    expect(results.filter(({ counted }) => counted)).toHaveLength(1);
    expect(await ledger().listPages('job-1', 1, 0, 0, 1)).toMatchObject([{ done: [0], ...counts }]);
  });

  it('refuses a page or a chunk that was never planned', async () => {
    const missing = { code: 'LEDGER_NOT_FOUND' };
    await expect(reportChunk(ledger(), { ...testPage(), chunk: 0 }, NONE, AT)).rejects.toMatchObject(missing);
    await ledger().createPage(testPage(), AT);
    await expect(reportChunk(ledger(), { ...testPage(), chunk: 2 }, NONE, AT)).rejects.toMatchObject(missing);
    expect(await ledger().listPages('job-1', 1, 0, 0, 1)).toMatchObject([{ done: [], ...NONE }]);
  });

  it('sums up exactly under any redelivery and order', async () => {
    let page = 0;
    const report = fc.record({ chunk: fc.nat({ max: 4 }), rewrapped: fc.nat({ max: 500 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(report, { maxLength: 5 }), { maxLength: 8 }), async (batches) => {
        page += 1;
        const plan = testPage({ page, chunks: range(5).map(() => ({ records: 500, until: 'x' })) });
        await ledger().createPage(plan, AT);
        const counted = (
          await Promise.all(
            batches.map(async (batch) => {
              // Of a chunk that stands twice in one call, the last one is its report.
              const unique = new Map(batch.map(({ chunk, rewrapped }) => [chunk, rewrapped]));
              const reports = batch.map(({ chunk, rewrapped }) => ({
                chunk,
                counts: { rewrapped, skipped: 500 - rewrapped, quarantined: 0 },
              }));
              const numbers = await ledger().reportChunks(plan, reports, AT);
              return numbers.map((chunk) => ({ chunk, rewrapped: unique.get(chunk) ?? Number.NaN }));
            }),
          )
        ).flat();
        const [stored] = await ledger().listPages('job-1', 1, 0, page, 1);
        expect(counted.map(({ chunk }) => chunk).toSorted((a, b) => a - b)).toEqual(stored?.done);
        expect(stored?.done).toEqual(
          [...new Set(batches.flat().map(({ chunk }) => chunk))].toSorted((a, b) => a - b),
        );
        expect(stored?.rewrapped).toBe(counted.reduce((sum, { rewrapped }) => sum + rewrapped, 0));
        expect((stored?.rewrapped ?? 0) + (stored?.skipped ?? 0)).toBe(500 * counted.length);
      }),
      { numRuns: 25 },
    );
  });
}

function describeSegments(ledger: () => Ledger): void {
  const progress = (changes: Partial<SegmentProgress>): SegmentProgress => ({
    jobId: 'job-1',
    round: 1,
    segment: 0,
    lowWater: 1,
    planned: 8,
    rewrapped: 8,
    skipped: 0,
    quarantined: 0,
    finished: false,
    updatedAt: AT,
    ...changes,
  });

  it('begins at nothing', async () => {
    const nothing = { lowWater: 0, planned: 0, finished: false, ...NONE };
    expect(await ledger().getSegment('job-1', 1, 0)).toMatchObject(nothing);
    expect(await ledger().listSegments('job-1', 1)).toEqual([]);
  });

  it('advances only from the expected low-water mark', async () => {
    expect(await ledger().advanceSegment(progress({ lowWater: 3 }), 1)).toBe(false);
    expect(await ledger().advanceSegment(progress({}), 0)).toBe(true);
    expect(await ledger().advanceSegment(progress({ rewrapped: 7 }), 0)).toBe(false);
    expect(await ledger().advanceSegment(progress({ lowWater: 2, planned: 16 }), 1)).toBe(true);
    expect(await ledger().advanceSegment(progress({ lowWater: 3 }), 1)).toBe(false);
    expect(await ledger().getSegment('job-1', 1, 0)).toEqual(progress({ lowWater: 2, planned: 16 }));
  });

  it('takes the repeat of a committed advance as done', async () => {
    expect(await ledger().advanceSegment(progress({}), 0)).toBe(true);
    expect(await ledger().advanceSegment(progress({}), 0)).toBe(true);
  });

  it('of 20 concurrent advances exactly one wins', async () => {
    const results = await Promise.all(
      range(20).map((i) => ledger().advanceSegment(progress({ planned: i }), 0)),
    );
    expect(results.filter(Boolean)).toHaveLength(1);
  });

  it('are listed in order, of one round only', async () => {
    for (const segment of [10, 2, 0]) await ledger().advanceSegment(progress({ segment }), 0);
    await ledger().advanceSegment(progress({ round: 2 }), 0);
    expect((await ledger().listSegments('job-1', 1)).map(({ segment }) => segment)).toEqual([0, 2, 10]);
  });
}

/** With everything that a census may have. */
export function testCensus(takenAt: string): CensusResult {
  return {
    ...{ takenAt, takenBy: 'test', reach: 'everywhere', onVersion: 2, stale: 2, malformed: 0, foreign: 0 },
    coverage: {
      customers: {
        ...{ store: 'main', table: 'customers', columns: ['phone'] },
        ...{ rows: 3, values: 2, versions: { '1': 2 }, foreign: 0, malformed: 0, tombstones: 0, others: 0 },
      },
    },
    excluded: [
      { store: 'main', table: 'orders', columns: ['data'], why: 'TYPE' },
      { store: 'main', table: '', columns: [], why: 'RIGHTS', more: 7 },
    ],
    undeclared: [
      {
        ...{ store: 'main', table: 'public.old', column: 'x', materialized: false },
        ...{ envelopes: 3, ofKey: 2, onVersion: 1 },
      },
    ],
  };
}

function describeStoredCensuses(ledger: () => Ledger): void {
  const census = (changes: Partial<StoredCensus> = {}, takenAt = AT): StoredCensus => ({
    ...{ censusId: 'c-1', keyId: KEY_ID, tenant: 'acme', purpose: 'default', active: 2, version: 1 },
    ...{ restoreEpoch: 0, jobId: 'job-1', attempt: 1, round: 1, result: testCensus(takenAt) },
    ...changes,
  });

  it('keeps a census once, and never changes it', async () => {
    expect(await ledger().putStoredCensus(census())).toEqual({ status: 'created', item: census() });
    const again = await ledger().putStoredCensus(census({ active: 9 }));
    expect(again).toEqual({ status: 'exists', item: census() });
  });

  it('lists those of a key newest first, up to a limit, and finds one by its id', async () => {
    const times = ['2026-01-03', '2026-01-01', '2026-01-02'].map((day) => `${day}T00:00:00.000Z`);
    for (const [i, at] of times.entries()) await ledger().putStoredCensus(census({ censusId: `c-${i}` }, at));
    const other = census({ keyId: '01890000-0000-7000-8000-0000000000ff', censusId: 'of another key' });
    await ledger().putStoredCensus(other);
    const ids = async (limit: number) =>
      (await ledger().listStoredCensuses(KEY_ID, limit)).map(({ censusId }) => censusId);
    expect(await ids(10)).toEqual(['c-0', 'c-2', 'c-1']);
    expect(await ids(2)).toEqual(['c-0', 'c-2']);
    expect(await ledger().findStoredCensus('of another key')).toEqual(other);
    expect(await ledger().findStoredCensus('c-9')).toBeNull();
  });
}

function describeCensus(ledger: () => Ledger): void {
  const count = {
    rows: 10,
    values: 9,
    versions: { '1': 4, '2': 5 },
    foreign: 0,
    malformed: 0,
    tombstones: 0,
  };

  it('keeps the last count of each segment, census by census', async () => {
    const base = {
      jobId: 'job-1',
      census: 'attempt-1-round-1',
      segment: 0,
      recordSet: 'customers',
      count,
      read: { store: 'main', table: 'people', columns: ['email', 'ssn'] },
      takenAt: AT,
    };
    const again = { ...base, count: { ...count, versions: {} }, takenAt: LATER };
    await ledger().putSegmentCensus(base);
    await ledger().putSegmentCensus({ ...base, segment: 10 });
    await ledger().putSegmentCensus({ ...base, segment: 2 });
    await ledger().putSegmentCensus({ ...base, census: 'attempt-1-round-10' });
    await ledger().putSegmentCensus({ ...base, census: 'attempt-1-round-1#0' });
    await ledger().putSegmentCensus(again);
    expect(await ledger().listSegmentCensus('job-1', 'attempt-1-round-1')).toEqual([
      again,
      { ...base, segment: 2 },
      { ...base, segment: 10 },
    ]);
    expect(await ledger().listSegmentCensus('job-1', 'other')).toEqual([]);
  });

  it('keeps what a search of a store found', async () => {
    const search = {
      store: 'main',
      found: [
        { ...{ table: 'public.t', column: 'c', materialized: true }, envelopes: 3, ofKey: 2, onVersion: 1 },
      ],
      declared: [{ table: 't', column: 'd', onVersion: 4 }],
      unsearched: [
        { table: 'public.u', columns: ['a', 'b'], reason: 'RIGHTS' as const },
        { table: '', columns: [], reason: 'TIME' as const, more: 12 },
      ],
    };
    const base = { jobId: 'job-1', census: 'c', segment: 4, recordSet: '', count, search, takenAt: AT };
    await ledger().putSegmentCensus(base);
    expect(await ledger().listSegmentCensus('job-1', 'c')).toEqual([base]);
  });
}

function describeQuarantine(ledger: () => Ledger): void {
  const record = (changes: Partial<QuarantinedRecord> = {}): QuarantinedRecord => ({
    keyId: KEY_ID,
    tenant: 'acme',
    purpose: 'default',
    recordSet: 'customers',
    recordId: ['1'],
    field: 'phone',
    code: 'DECRYPTION_FAILED',
    version: 1,
    jobId: 'job-1',
    at: AT,
    ...changes,
  });

  it('holds a field once, with what was found last', async () => {
    await ledger().putQuarantined(record());
    await ledger().putQuarantined(record({ code: 'ENVELOPE_MALFORMED', version: null, at: LATER }));
    expect(await ledger().listQuarantined(KEY_ID)).toEqual([
      record({ code: 'ENVELOPE_MALFORMED', version: null, at: LATER }),
    ]);
  });

  it('keeps odd record ids apart', async () => {
    const ids = [
      ['a', 'b'],
      ['a/b'],
      ['a#b'],
      ['a%2Fb'],
      [''],
      ['', ''],
      ['x'.repeat(3000)],
      ['x'.repeat(3001)],
    ];
    for (const recordId of ids) await ledger().putQuarantined(record({ recordId }));
    await ledger().putQuarantined(record({ keyId: 'another', recordId: ['z'] }));
    const listed = (await ledger().listQuarantined(KEY_ID)).map(({ recordId }) => JSON.stringify(recordId));
    expect(listed.toSorted()).toEqual(ids.map((id) => JSON.stringify(id)).toSorted());
    for (const recordId of ids) await ledger().deleteQuarantined(record({ recordId }));
    expect(await ledger().listQuarantined(KEY_ID)).toEqual([]);
  });

  it('deletes what is not there without complaint', async () => {
    await expect(ledger().deleteQuarantined(record())).resolves.toBeUndefined();
  });
}

function describeCertificates(ledger: () => Ledger): void {
  const certificate = (changes: Partial<StoredCertificate> = {}): StoredCertificate => ({
    ...{ tenant: 'acme', purpose: 'default', keyId: KEY_ID, version: 1, issuedAt: AT, jws: 'a.b.c' },
    ...changes,
  });

  it('keeps one for each version of a key, and never changes it', async () => {
    expect(await ledger().getCertificate(KEY_ID, 1)).toBeNull();
    const created = await ledger().createCertificate(certificate());
    expect(created).toEqual({ status: 'created', item: certificate() });
    const again = await ledger().createCertificate(certificate({ issuedAt: LATER, jws: 'd.e.f' }));
    expect(again).toEqual({ status: 'exists', item: certificate() });
    const other = certificate({ version: 12, jws: 'g.h.i' });
    await ledger().createCertificate(other);
    expect(await ledger().getCertificate(KEY_ID, 1)).toEqual(certificate());
    expect(await ledger().getCertificate(KEY_ID, 12)).toEqual(other);
    expect(await ledger().getCertificate(KEY_ID, 2)).toBeNull();
    expect(await ledger().getCertificate('another-key', 1)).toBeNull();
  });

  it('of 20 that are issued at once, one is the certificate', async () => {
    const results = await Promise.all(
      range(20).map((i) => ledger().createCertificate(certificate({ jws: `${i}` }))),
    );
    expect(results.filter(({ status }) => status === 'created')).toHaveLength(1);
    expect(new Set(results.map(({ item }) => item.jws)).size).toBe(1);
  });
}

export function testRequest(changes: Partial<ApprovalRequest> = {}): ApprovalRequest {
  return {
    requestId: 'r1',
    action: 'purge',
    tenant: 'acme',
    purpose: 'default',
    keyId: KEY_ID,
    version: 1,
    restoreEpoch: 0,
    subject: 'digest',
    expiresAt: LATER,
    requestedBy: 'daily sweep',
    requestedAt: AT,
    summary: 'destroys version 1',
    evidence: {
      takenAt: AT,
      coverage: { people: { rows: 2, versions: {} } },
      excluded: [],
      undeclared: null,
    },
    ...changes,
  };
}

function describeApprovals(ledger: () => Ledger): void {
  const approval = (changes: Partial<Approval> = {}): Approval => ({
    requestId: 'r1',
    approver: 'alice',
    breakGlass: false,
    at: AT,
    jws: 'a.b.c',
    ...changes,
  });

  it('keeps the first request of an id, with its evidence as it was', async () => {
    expect(await ledger().getApprovalRequest('r1')).toBeNull();
    expect(await ledger().createApprovalRequest(testRequest())).toEqual({
      status: 'created',
      item: testRequest(),
    });
    expect(await ledger().createApprovalRequest(testRequest({ summary: 'other' }))).toEqual({
      status: 'exists',
      item: testRequest(),
    });
    expect(await ledger().getApprovalRequest('r1')).toEqual(testRequest());
  });

  it('lists the requests that expire from a time on, the last first', async () => {
    const ends = ['2026-01-03', '2026-01-01', '2026-01-02'].map((day) => `${day}T00:00:00.000Z`);
    for (const [i, expiresAt] of ends.entries())
      await ledger().createApprovalRequest(testRequest({ requestId: `r${i}`, expiresAt }));
    const ids = async (filter?: { expiresFrom?: string; limit?: number }) =>
      (await ledger().listApprovalRequests(filter)).map(({ requestId }) => requestId);
    expect(await ids()).toEqual(['r0', 'r2', 'r1']);
    expect(await ids({ expiresFrom: ends[2] ?? '' })).toEqual(['r0', 'r2']);
    expect(await ids({ expiresFrom: '2026-01-04T00:00:00.000Z' })).toEqual([]);
    expect(await ids({ limit: 2 })).toEqual(['r0', 'r2']);
    expect(await ids({ expiresFrom: ends[2] ?? '', limit: 1 })).toEqual(['r0']);
  });

  it('keeps one word of each approver, the first', async () => {
    await ledger().createApproval(approval({ approver: 'bob' }));
    expect(await ledger().createApproval(approval())).toMatchObject({ status: 'created' });
    expect(await ledger().createApproval(approval({ jws: 'd.e.f' }))).toEqual({
      status: 'exists',
      item: approval(),
    });
    await ledger().createApproval(approval({ requestId: 'r2', approver: 'carol' }));
    expect(await ledger().listApprovals('r1')).toEqual([approval(), approval({ approver: 'bob' })]);
    expect(await ledger().listApprovals('none')).toEqual([]);
  });

  it('of ten approvals of one approver at one time exactly one is written', async () => {
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, i) => ledger().createApproval(approval({ jws: `j.w.${i}` }))),
    );
    expect(results.filter(({ status }) => status === 'created')).toHaveLength(1);
    expect(await ledger().listApprovals('r1')).toHaveLength(1);
  });

  it('keeps the first reason for which a request is void, and takes it for no approval', async () => {
    expect(await ledger().getApprovalVoid('r1')).toBeNull();
    const entry = { requestId: 'r1', at: AT, why: 'it expired' };
    expect(await ledger().voidApprovalRequest(entry)).toEqual({ status: 'created', item: entry });
    expect(await ledger().voidApprovalRequest({ ...entry, why: 'other' })).toEqual({
      status: 'exists',
      item: entry,
    });
    expect(await ledger().getApprovalVoid('r1')).toEqual(entry);
    expect(await ledger().listApprovals('r1')).toEqual([]);
  });
}

/** One chunk alone. */
async function reportChunk(
  ledger: Ledger,
  { chunk, ...page }: PageRef & { readonly chunk: number },
  counts: ChunkCounts,
  at: string,
): Promise<{ readonly counted: boolean }> {
  const counted = await ledger.reportChunks(page, [{ chunk, counts }], at);
  return { counted: counted.length === 1 };
}
