import { isDeepStrictEqual } from 'node:util';
import type { Approval, ApprovalRequest, ApprovalVoid } from '../../shared/approvals/approval.ts';
import type { ExportMark, LedgerStore, PendingEvent } from '../../shared/audit/outbox.ts';
import type { StoredCertificate } from '../../shared/certificates/certificate.ts';
import { LedgerError } from '../../shared/errors/errors.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { markText, readCanary } from '../../shared/ledger/canary-text.ts';
import type {
  ChunkCounts,
  CreateResult,
  Ledger,
  PageProgress,
  PageRef,
  QuarantinedRecord,
  RoundPlan,
  SegmentCensus,
  SegmentProgress,
} from '../../shared/ledger/ledger.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import type { Job, StoredCensus } from '../../shared/rotation/rotation.ts';
import { type AuditChains, createChains, leaveInOutbox, withMemoryAudit } from './audit.ts';
import { asTheyWere, createItems, type ItemKind, type Items, type OnCommit, type Past } from './items.ts';

/**
 * A ledger in memory, held to the same contract as the DynamoDB one: for tests that make 100,000 calls. What it stores is
 * frozen, and handed out as it is.
 */

const ITEM_LIMIT = 400 * 1024;
const NEVER = new Date(0).toISOString();

export interface MemoryLedgerOptions {
  readonly onCommit?: OnCommit;
}

export interface MemoryLedger extends LedgerStore {
  /** What stood there so many changes ago, to be read only: at most `PAST`. The chains are as they are. */
  asOf(changes: number): LedgerStore;
}

export function createMemoryLedger({ onCommit = () => {} }: MemoryLedgerOptions = {}): MemoryLedger {
  const past: Past = [];
  const items = allItems((kind) => createItems(kind, onCommit, past));
  const chains = createChains(onCommit, id);
  return {
    ...ledgerOn(items, chains),
    asOf(changes) {
      const then = allItems(
        <T>(kind: ItemKind) => asTheyWere<unknown>(items[kind], kind, past, changes) as Items<T>,
      );
      return ledgerOn(then, chains);
    },
  };
}

export type AllItems = ReturnType<typeof allItems>;

function allItems(of: <T>(kind: ItemKind) => Items<T>) {
  return {
    keys: of<TenantKey>('keys'),
    jobs: of<Job>('jobs'),
    rounds: of<RoundPlan>('rounds'),
    pages: of<PageProgress>('pages'),
    segments: of<SegmentProgress>('segments'),
    censuses: of<SegmentCensus>('censuses'),
    kept: of<StoredCensus>('kept'),
    quarantined: of<QuarantinedRecord>('quarantined'),
    restores: of<Restore>('restores'),
    certificates: of<StoredCertificate>('certificates'),
    approvalRequests: of<ApprovalRequest>('approvalRequests'),
    approvalVoids: of<ApprovalVoid>('approvalVoids'),
    approvals: of<Approval>('approvals'),
    events: of<PendingEvent>('events'),
    marks: of<ExportMark>('marks'),
  };
}

function ledgerOn(items: AllItems, chains: AuditChains): LedgerStore {
  const { keys, jobs, rounds, pages, segments, censuses, kept, quarantined } = items;
  const { restores, certificates, approvalRequests, approvalVoids, approvals } = items;

  const ledger: Ledger = {
    createKey: async (key) => create(keys, id(key.tenant, key.purpose), key),
    getKey: async (tenant, purpose) => get(keys, id(tenant, purpose)),
    async replaceKey(key) {
      const name = id(key.tenant, key.purpose);
      const stored = keys.stored.get(name);
      // A repeat; something may have been marked since.
      if (isRepeat(stored, key) && isDeepStrictEqual(stored, { ...key, canary: stored?.canary })) return;
      if (!isDeepStrictEqual(stored?.canary, key.canary)) throw conflict();
      replace(keys, name, key);
    },
    async markUsed(tenant, purpose, use) {
      const stored = keys.stored.get(id(tenant, purpose));
      if (stored !== undefined)
        keys.put(id(tenant, purpose), { ...stored, canary: readCanary(markText(use)) });

      return stored !== undefined;
    },
    async clearUsed(tenant, purpose, use) {
      const stored = keys.stored.get(id(tenant, purpose));
      const same = stored !== undefined && isDeepStrictEqual(stored.canary, use);
      if (same) keys.put(id(tenant, purpose), { ...stored, canary: null });
      return same;
    },
    listKeys: async () =>
      [...keys.stored.values()].sort((a, b) => order(a.tenant, b.tenant) || order(a.purpose, b.purpose)),
    scanKeys: async () =>
      [...keys.stored.values()].sort((a, b) => order(a.tenant, b.tenant) || order(a.purpose, b.purpose)),
    createJob: async (job) => create(jobs, job.jobId, job),
    getJob: async (jobId) => get(jobs, jobId),
    replaceJob: async (job) => replace(jobs, job.jobId, job),
    listJobs: async (filter = {}) =>
      [...jobs.stored.values()]
        .filter(({ kind }) => filter.kind === undefined || filter.kind === kind)
        .filter(({ status }) => filter.statuses === undefined || filter.statuses.includes(status))
        .sort((a, b) => order(b.requestedAt, a.requestedAt) || order(b.jobId, a.jobId)),
    createCertificate: async (certificate) =>
      create(certificates, id(certificate.keyId, certificate.version), certificate),
    getCertificate: async (keyId, version) => get(certificates, id(keyId, version)),
    createRound: async (plan) => create(rounds, id(plan.jobId, plan.round), plan),
    getRound: async (jobId, round) => get(rounds, id(jobId, round)),
    async createPage(plan, at) {
      if (JSON.stringify(plan).length > ITEM_LIMIT)
        throw new LedgerError('LEDGER_ITEM_INVALID', `The page is larger than the limit of ${ITEM_LIMIT}`);
      const planned = plan.chunks.reduce((sum, { records }) => sum + records, 0);
      const page = { plan, planned, done: [], rewrapped: 0, skipped: 0, quarantined: 0, updatedAt: at };
      const { status, item } = create(pages, pageId(plan), page);
      return { status, item: item.plan };
    },
    async reportChunks(ref, reports, at) {
      const page = pages.stored.get(pageId(ref));
      if (page === undefined || reports.some(({ chunk }) => chunk >= page.plan.chunks.length))
        throw new LedgerError('LEDGER_NOT_FOUND', `Job ${ref.jobId} has no such chunk in page ${ref.page}`);
      const unique = [...new Map(reports.map((report) => [report.chunk, report])).values()];
      const open = unique.filter(({ chunk }) => !page.done.includes(chunk));
      if (open.length === 0) return [];
      const sum = (part: keyof ChunkCounts) =>
        open.reduce((total, { counts }) => total + counts[part], page[part]);
      const chunks = open.map(({ chunk }) => chunk);
      pages.put(pageId(ref), {
        ...page,
        rewrapped: sum('rewrapped'),
        skipped: sum('skipped'),
        quarantined: sum('quarantined'),
        done: [...page.done, ...chunks].sort((x, y) => x - y),
        updatedAt: at,
      });
      return chunks;
    },
    listPages: async (jobId, round, segment, from, limit) =>
      [...pages.stored.values()]
        .filter(({ plan }) => plan.jobId === jobId && plan.round === round && plan.segment === segment)
        .filter(({ plan }) => plan.page >= from)
        .sort((a, b) => a.plan.page - b.plan.page)
        .slice(0, limit),
    getSegment: async (jobId, round, segment) =>
      get(segments, id(jobId, round, segment)) ?? {
        jobId,
        round,
        segment,
        lowWater: 0,
        planned: 0,
        rewrapped: 0,
        skipped: 0,
        quarantined: 0,
        finished: false,
        updatedAt: NEVER,
      },
    listSegments: async (jobId, round) =>
      [...segments.stored.values()]
        .filter((segment) => segment.jobId === jobId && segment.round === round)
        .sort((a, b) => a.segment - b.segment),
    async advanceSegment(next, expectedLowWater) {
      const name = id(next.jobId, next.round, next.segment);
      const stored = segments.stored.get(name);
      if ((stored?.lowWater ?? 0) !== expectedLowWater) return isDeepStrictEqual(stored, next);
      segments.put(name, next);
      return true;
    },
    putStoredCensus: async (census) =>
      create(kept, id(census.keyId, census.result.takenAt, census.censusId), census),
    listStoredCensuses: async (keyId, limit) =>
      [...kept.stored.values()]
        .filter((census) => census.keyId === keyId)
        .sort((a, b) => order(b.result.takenAt, a.result.takenAt) || order(b.censusId, a.censusId))
        .slice(0, limit),
    findStoredCensus: async (censusId) =>
      [...kept.stored.values()].find((census) => census.censusId === censusId) ?? null,
    async putSegmentCensus(census) {
      censuses.put(id(census.jobId, census.census, census.segment), census);
    },
    listSegmentCensus: async (jobId, census) =>
      [...censuses.stored.values()]
        .filter((item) => item.jobId === jobId && item.census === census)
        .sort((a, b) => a.segment - b.segment),
    async putQuarantined(record) {
      quarantined.put(id(record.keyId, record.recordSet, record.recordId, record.field), record);
    },
    listQuarantined: async (keyId) =>
      [...quarantined.stored.values()].filter((record) => record.keyId === keyId),
    async deleteQuarantined(record) {
      quarantined.remove(id(record.keyId, record.recordSet, record.recordId, record.field));
    },
    createApprovalRequest: async (request) => create(approvalRequests, id(request.requestId), request),
    getApprovalRequest: async (requestId) => get(approvalRequests, id(requestId)),
    listApprovalRequests: async ({ expiresFrom = '', limit } = {}) =>
      [...approvalRequests.stored.values()]
        .filter(({ expiresAt }) => expiresAt >= expiresFrom)
        .sort((a, b) => order(b.expiresAt, a.expiresAt) || order(b.requestId, a.requestId))
        .slice(0, limit),
    voidApprovalRequest: async (entry) => create(approvalVoids, id(entry.requestId), entry),
    getApprovalVoid: async (requestId) => get(approvalVoids, id(requestId)),
    createApproval: async (approval) =>
      create(approvals, id(approval.requestId, approval.approver), approval),
    listApprovals: async (requestId) =>
      [...approvals.stored.values()]
        .filter((approval) => approval.requestId === requestId)
        .sort((a, b) => order(encodeURIComponent(a.approver), encodeURIComponent(b.approver))),
    createRestore: async (restore) => create(restores, id(restore.restoreId), restore),
    getRestore: async (restoreId) => get(restores, id(restoreId)),
    replaceRestore: async (restore) => replace(restores, id(restore.restoreId), restore),
    listRestores: async () =>
      [...restores.stored.values()].sort(
        (a, b) => order(b.begunAt, a.begunAt) || order(b.restoreId, a.restoreId),
      ),
    async check() {},
  };
  return withMemoryAudit(ledger, items, chains, id);
}

function id(...parts: readonly unknown[]): string {
  if (parts.some((part) => typeof part === 'string' && !part.isWellFormed()))
    throw new LedgerError('LEDGER_ITEM_INVALID', 'A part of its key is not well-formed text');
  return JSON.stringify(parts);
}

function pageId({ jobId, round, segment, page }: PageRef): string {
  return id(jobId, round, segment, page);
}

function get<T>(items: Items<T>, name: string): T | null {
  return items.stored.get(name) ?? null;
}

function create<T>(items: Items<T>, name: string, item: T): CreateResult<T> {
  const stored = items.stored.get(name);
  if (stored !== undefined) return { status: 'exists', item: stored };
  items.put(name, item);
  leaveInOutbox(items, name);
  return { status: 'created', item };
}

function replace<T extends { readonly revision: number }>(items: Items<T>, name: string, item: T): void {
  const stored = items.stored.get(name);
  if (isRepeat(stored, item) && isDeepStrictEqual(stored, item)) return;
  if (stored?.revision !== item.revision - 1) throw conflict();
  items.put(name, item);
  leaveInOutbox(items, name);
}

/** Of a write whose answer was lost, if it says the same. */
function isRepeat<T extends { readonly revision: number }>(stored: T | undefined, item: T): boolean {
  return stored?.revision === item.revision;
}

function conflict(): LedgerError {
  return new LedgerError('REVISION_CONFLICT', 'It was changed by somebody else in between', {
    retryable: true,
  });
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
