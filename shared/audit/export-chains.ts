import { decodeJwt } from 'jose';
import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { AuditError, KeyturnError } from '../errors/errors.ts';
import { ANCHOR_TYPE, type Anchor, anchorSchema } from './anchor.ts';
import { anchorName, segmentName } from './archive-names.ts';
import { hashOf } from './chain.ts';
import type { AuditEntry } from './entry.ts';
import { type ExportMark, entryAt, SERVICE } from './outbox.ts';
import { SEGMENT_ENTRIES, writeSegment } from './segment.ts';

export interface ExportReport {
  /** Outboxes whose events are in the chain now, and are closed. */
  settled: number;
  /** Outboxes that could not be brought into the chain. */
  pending: number;
  /** Tenants whose new entries were exported. */
  tenants: number;
  entries: number;
  /** Tenants that the function's time did not suffice for: the next export takes them. */
  left: number;
  failed: number;
  /** Of those that failed: chains that are not what they were. */
  broken: number;
}

type ExportDeps = Pick<
  Deps,
  'archive' | 'audit' | 'clock' | 'ledger' | 'log' | 'metrics' | 'signer' | 'config'
>;

/** Tenants in work at one time. */
const LANES = 8;
/** What has begun is ended in this time before the function is stopped. */
const MARGIN_MS = 30_000;

/**
 * Appends what crashes left in outboxes, then copies the new entries of every chain to the archive, with a signed anchor
 * after each segment. Every step may be repeated: which entries a segment holds is written down before the segment is.
 */
export async function exportChains(
  deps: ExportDeps,
  remainingMs: () => number = () => Number.MAX_SAFE_INTEGER,
): Promise<ExportReport> {
  const report = { settled: 0, pending: 0, tenants: 0, entries: 0, left: 0, failed: 0, broken: 0 };
  const outboxes = await deps.audit.listOpenOutboxes();
  await inLanes(outboxes, LANES, async (outbox) => {
    if (remainingMs() < MARGIN_MS) return;
    const settled = await attempt(deps, report, () => deps.audit.settle(outbox));
    report[settled ? 'settled' : 'pending'] += 1;
  });
  const marks = new Map((await deps.audit.listExportMarks()).map((mark) => [mark.tenant, mark]));
  const tenants = new Set([
    ...(await deps.ledger.listKeys()).map(({ tenant }) => tenant),
    ...outboxes.map(({ event }) => event.tenant),
    SERVICE,
    ...marks.keys(),
  ]);
  await inLanes([...tenants], LANES, async (tenant) => {
    if (remainingMs() < MARGIN_MS) {
      report.left += 1;
      return;
    }
    await attempt(deps, report, async () => {
      const entries = await exportChain(deps, tenant, marks.get(tenant) ?? null, remainingMs);
      report.entries += entries;
      if (entries > 0) report.tenants += 1;
    });
  });
  const { metrics } = deps;
  metrics.add('AuditEntriesPending', report.pending);
  metrics.add('AuditExportFailures', report.failed);
  metrics.add('AuditChainsBroken', report.broken);
  metrics.add('AuditExportCompleted', report.left === 0 ? 1 : 0);
  return report;
}

/** Entries that were read for a plan: those after `done` up to `end`. */
interface Segment {
  readonly done: number;
  readonly end: number;
  readonly entries: readonly AuditEntry[];
}

async function attempt(deps: ExportDeps, report: ExportReport, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
    report.failed += 1;
    if (code === 'AUDIT_BROKEN') report.broken += 1;
    deps.log.error('audit export failed', { code, step: 'export-audit' });
    return false;
  }
}

/** Returns how many entries it exported. `mark` may be an old one: it is read again where it matters. */
async function exportChain(
  deps: ExportDeps,
  tenant: string,
  mark: ExportMark | null,
  remainingMs: () => number,
): Promise<number> {
  const last = (await deps.audit.lastAuditEntry(tenant))?.sequence ?? 0;
  if (mark !== null && mark.planned === null && mark.sequence === last) return 0;
  let at = await deps.audit.getExportMark(tenant);
  let exported = 0;
  let planned: Segment | null = null;
  while (remainingMs() >= MARGIN_MS) {
    const done = at?.sequence ?? 0;
    if (done > last) {
      // Somebody else may have exported what came since.
      const end = (await deps.audit.lastAuditEntry(tenant))?.sequence ?? 0;
      if (done > end) throw broken(tenant, `ends at ${end}, and was exported up to ${done}`);
      return exported;
    }
    if (at === null || at.planned === null) {
      if (done === last) return exported;
      const end = Math.min(last, done + SEGMENT_ENTRIES);
      // Nothing is planned that could not be exported: what does not belong there may be taken away again.
      planned = { done, end, entries: await readLinked(deps, tenant, done, end) };
      at = await move(deps, { tenant, sequence: done, planned: end, revision: (at?.revision ?? 0) + 1 });
      continue;
    }
    // What was read for the plan is not read again, unless somebody else planned otherwise.
    const entries: readonly AuditEntry[] =
      planned?.done === done && planned.end === at.planned
        ? planned.entries
        : await readLinked(deps, tenant, done, at.planned);
    await exportSegment(deps, tenant, done, entries);
    exported += entries.length;
    at = await move(deps, { tenant, sequence: at.planned, planned: null, revision: at.revision + 1 });
  }
  return exported;
}

/** The mark that stands then: somebody else may have moved it. */
async function move(deps: ExportDeps, mark: ExportMark): Promise<ExportMark | null> {
  return (await deps.audit.putExportMark(mark)) ? mark : deps.audit.getExportMark(mark.tenant);
}

/** The entries after `done`. */
async function exportSegment(
  { archive, clock, signer }: ExportDeps,
  tenant: string,
  done: number,
  entries: readonly AuditEntry[],
): Promise<void> {
  const end = entries.at(-1);
  if (end === undefined) return;
  const { sequence, hash } = end;
  const name = segmentName(tenant, done + 1, sequence);
  const bytes = writeSegment(entries);
  if (!(await archive.put(name, bytes))) {
    // By a try that came so far, or by somebody else at the same time.
    const there = await archive.get(name);
    if (there === null || !Buffer.from(there).equals(bytes)) {
      throw broken(tenant, `is not what stands in the archive as ${name}`);
    }
  }
  const at = new Date(clock.now()).toISOString();
  const anchor: Anchor = { tenant, sequence, hash, at };
  const jws = await signer.sign(ANCHOR_TYPE, anchor);
  // One that is there says the same, at an earlier time.
  await archive.put(anchorName(tenant, sequence), Buffer.from(jws));
}

/** Genuine, as they were hashed, and linked to what was exported before. What is exported, the anchor is signed over. */
async function readLinked(
  { audit, archive }: ExportDeps,
  tenant: string,
  done: number,
  planned: number,
): Promise<readonly AuditEntry[]> {
  const from = Math.max(done, 1);
  const items = await audit.listAuditEntries(tenant, from, planned - from + 1);
  const found = items.map((item, i) => {
    if (!item.genuine) throw broken(tenant, `has an entry ${item.sequence} that Keyturn did not write`);
    const entry = entryAt(tenant, item);
    if (entry === null || item.sequence !== from + i) throw broken(tenant, `has no entry ${from + i}`);
    if (hashOf(entry) !== entry.hash)
      throw broken(tenant, `has an entry ${from + i} that is not what was hashed`);
    return entry;
  });
  if (found.length !== planned - from + 1) throw broken(tenant, `has no entry ${from + found.length}`);
  for (const [i, entry] of found.entries()) {
    const before = found[i - 1];
    if (before !== undefined && entry.previous !== before.hash) {
      throw broken(tenant, `does not hold together at entry ${entry.sequence}`);
    }
  }
  if (done === 0) return found;
  const [before, ...entries] = found;
  const anchored = await readAnchoredHash(archive, tenant, done);
  if (anchored !== before?.hash) throw broken(tenant, `has another entry ${done} than was exported`);
  return entries;
}

/** As the archive has it; whether its signature is genuine is for `verify` to say. null: there is none. */
async function readAnchoredHash(
  archive: Deps['archive'],
  tenant: string,
  sequence: number,
): Promise<string | null> {
  const bytes = await archive.get(anchorName(tenant, sequence));
  if (bytes === null) return null;
  try {
    return anchorSchema.parse(decodeJwt(new TextDecoder().decode(bytes))).hash;
  } catch {
    return null;
  }
}

function broken(tenant: string, what: string): AuditError {
  return new AuditError('AUDIT_BROKEN', `The audit chain of tenant "${tenant}" ${what}`, {
    remedy: '`keyturn audit verify` says what is wrong in it. Nothing more of it is exported until then.',
  });
}
