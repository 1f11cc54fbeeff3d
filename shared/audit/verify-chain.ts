import type { JWK } from 'jose';
import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { Restore } from '../rotation/restore.ts';
import type { Job } from '../rotation/rotation.ts';
import { verifyJws } from '../signing/verify-jws.ts';
import { ANCHOR_TYPE, type Anchor, anchorSchema } from './anchor.ts';
import { anchorPrefix, readAnchorName, readSegmentName, segmentPrefix } from './archive-names.ts';
import { jobEventId, keyEventId, restoreEventId } from './describe.ts';
import type { Finding } from './findings.ts';
import { type Audited, type ExportMark, isPending } from './outbox.ts';
import { readSegment } from './segment.ts';
import { type RecordedItem, startWalk, type Walk } from './walk.ts';

export interface VerifyReport {
  readonly tenant: string;
  /** Entries in the ledger; null: it was not asked. */
  readonly entries: number | null;
  readonly archived: number;
  readonly anchors: number;
  readonly findings: readonly Finding[];
}

export type VerifyDeps = Pick<Deps, 'archive' | 'audit' | 'ledger'>;

/** Items as they were listed, all of the tenant; restores are the service's own. */
export interface ListedItems {
  readonly keys: readonly TenantKey[];
  readonly jobs: readonly Job[];
  readonly restores: readonly Restore[];
}

interface Archived {
  readonly walk: Walk;
  readonly anchors: readonly Anchor[];
  readonly findings: readonly Finding[];
}

const PAGE = 500;
const LANES = 8;

/**
 * Compares a tenant's chain in the ledger with its hashes, with the archive, with the signed anchors, and with the keys and
 * jobs that it tells of. May run while changes are made: what is compared is read in the order in which it is written.
 */
export async function verifyChain(
  deps: VerifyDeps,
  tenant: string,
  listed: ListedItems,
  publicKeys: readonly JWK[],
): Promise<VerifyReport> {
  // Mark, archive, chain: each is behind the next one, never ahead.
  const damaged: Finding[] = [];
  const readMark = () => readMarkOrName(deps, tenant, damaged);
  const mark = await readMark();
  const archived = await readArchive(deps.archive, tenant, publicKeys, readMark);
  const lost = compareMark(tenant, mark?.sequence ?? 0, archived);
  const walk = startWalk(tenant, 'ledger');
  await walkOn(deps.audit, tenant, walk);
  const items = await compareItems(deps, tenant, walk, listed);
  return {
    tenant,
    entries: walk.last,
    archived: archived.walk.last,
    anchors: archived.anchors.length,
    findings: [
      ...walk.findings,
      ...damaged.slice(0, 1),
      ...archived.findings,
      ...lost,
      ...compareArchive(tenant, walk, archived),
      ...items,
    ],
  };
}

/** null where there is none, or none that Keyturn wrote: then that is a finding. */
async function readMarkOrName(
  { audit }: VerifyDeps,
  tenant: string,
  findings: Finding[],
): Promise<ExportMark | null> {
  try {
    return await audit.getExportMark(tenant);
  } catch (error) {
    if (!(error instanceof KeyturnError) || error.retryable) throw error;
    const message = `the mark of how far it was exported was not written by Keyturn (${error.code})`;
    findings.push({ code: 'FORGED', tenant, where: 'ledger', sequence: null, message });
    return null;
  }
}

/** The archive alone, as an auditor has it. */
export async function verifyArchive(
  archive: Deps['archive'],
  tenant: string,
  publicKeys: readonly JWK[],
): Promise<VerifyReport> {
  // There is no mark beside it: a copy that was made while its last anchor was being written is to be made again.
  const { walk, anchors, findings } = await readArchive(archive, tenant, publicKeys, async () => null);
  return { tenant, entries: null, archived: walk.last, anchors: anchors.length, findings };
}

async function walkOn(audit: Deps['audit'], tenant: string, walk: Walk): Promise<void> {
  for (;;) {
    const items = await audit.listAuditEntries(tenant, walk.last + 1, PAGE);
    // Several may read on at the same time.
    for (const item of items) if (item.sequence > walk.last) walk.next(item);
    if (items.length < PAGE) return;
  }
}

async function readArchive(
  archive: Deps['archive'],
  tenant: string,
  publicKeys: readonly JWK[],
  readMark: () => Promise<ExportMark | null>,
): Promise<Archived> {
  // An anchor is put after its segment, and then the mark is moved: an anchor that is seen has its segment, and a segment
  // that the mark has left behind has its anchor by then.
  const anchorsBefore = await archive.list(anchorPrefix(tenant));
  const segmentNames = await archive.list(segmentPrefix(tenant));
  const mark = await readMark();
  const ends = new Set(segmentNames.map((name) => readSegmentName(name)?.last ?? null));
  const anchorsSince = (await archive.list(anchorPrefix(tenant))).filter((name) =>
    ends.has(readAnchorName(name)),
  );
  const anchorNames = [...new Set([...anchorsBefore, ...anchorsSince])];
  const walk = startWalk(tenant, 'archive');
  const findings: Finding[] = [];
  const find = (code: Finding['code'], sequence: number | null, message: string) =>
    findings.push({ code, tenant, where: 'archive', sequence, message });
  for (const name of segmentNames) {
    const range = readSegmentName(name);
    const bytes = await archive.get(name);
    if (range === null || bytes === null) {
      find('EDITED', null, `${name} is no segment`);
      continue;
    }
    const entries = readSegment(bytes);
    if (entries.length !== range.last - range.first + 1) {
      find('EDITED', range.first, `${name} holds ${entries.length} entries`);
    }
    for (const [i, entry] of entries.entries()) {
      const sequence = range.first + i;
      // Written twice with other bounds, after the mark of the export was lost: it must say the same.
      if (sequence <= walk.last) {
        if (entry?.hash !== walk.hashes.get(sequence)) {
          find('REWRITTEN', sequence, `${name} has another entry ${sequence} than the segment before`);
        }
      } else walk.next({ sequence, entry, genuine: true });
    }
  }
  const anchors = await inLanes(anchorNames, LANES, async (name) => {
    const anchor = await readAnchor(archive, tenant, name, publicKeys);
    if (typeof anchor !== 'string') return anchor;
    find('ANCHOR_INVALID', readAnchorName(name), `${name} ${anchor}`);
    return null;
  });
  const valid = anchors.filter((anchor) => anchor !== null);
  findings.unshift(...walk.findings);
  findings.push(...compareAnchors(tenant, 'archive', walk, valid));
  for (const last of unanchored(segmentNames, anchorNames)) {
    if (last === mark?.planned) continue;
    find('ANCHOR_MISSING', last, `entries up to ${last} were archived, and no anchor says so`);
  }
  return { walk, anchors: valid, findings };
}

/** The ends of segments that have no anchor; but for those that lie within another one. */
function unanchored(segmentNames: readonly string[], anchorNames: readonly string[]): number[] {
  const ranges = segmentNames.flatMap((name) => readSegmentName(name) ?? []);
  const anchored = new Set(anchorNames.map(readAnchorName));
  return ranges
    .filter(
      ({ first, last }) =>
        !anchored.has(last) && !ranges.some((other) => other.first <= first && other.last > last),
    )
    .map(({ last }) => last);
}

/** What is wrong with it, as text. */
async function readAnchor(
  archive: Deps['archive'],
  tenant: string,
  name: string,
  publicKeys: readonly JWK[],
): Promise<Anchor | string> {
  const bytes = await archive.get(name);
  if (bytes === null) return 'is gone';
  let payload: unknown;
  try {
    payload = await verifyJws(new TextDecoder().decode(bytes), ANCHOR_TYPE, publicKeys);
  } catch (error) {
    if (!(error instanceof KeyturnError) || error.retryable) throw error;
    return `is not signed by a given key (${error.code})`;
  }
  const anchor = anchorSchema.safeParse(payload).data;
  if (anchor === undefined || anchor.tenant !== tenant || anchor.sequence !== readAnchorName(name)) {
    return 'says something else than its name';
  }
  return anchor;
}

function compareAnchors(
  tenant: string,
  where: Finding['where'],
  walk: Walk,
  anchors: readonly Anchor[],
): Finding[] {
  const furthest = anchors.reduce((most, { sequence }) => Math.max(most, sequence), 0);
  const findings: Finding[] = [];
  if (furthest > walk.last) {
    const message = `the chain ends at ${walk.last}, and an anchor says that it had come to ${furthest}`;
    findings.push({ code: 'TAIL_CUT', tenant, where, sequence: walk.last, message });
  }
  for (const { sequence, hash } of anchors) {
    const found = walk.hashes.get(sequence);
    if (found === undefined || found === hash) continue;
    const message = `entry ${sequence} is not the one that its anchor was signed over`;
    findings.push({ code: 'REWRITTEN', tenant, where, sequence, message });
  }
  return findings;
}

/** Segment and anchor may both be gone; the ledger knows that they were there. */
function compareMark(tenant: string, exported: number, { walk, findings }: Archived): Finding[] {
  if (exported <= walk.last || findings.some(({ code }) => code === 'TAIL_CUT')) return [];
  const message = `the archive ends at ${walk.last}, and entries up to ${exported} were put there`;
  return [{ code: 'TAIL_CUT', tenant, where: 'archive', sequence: walk.last, message }];
}

function compareArchive(tenant: string, ledger: Walk, { walk, anchors }: Archived): Finding[] {
  const where = 'ledger';
  const findings = compareAnchors(tenant, where, ledger, anchors);
  if (walk.last > ledger.last && !findings.some(({ code }) => code === 'TAIL_CUT')) {
    const message = `the chain ends at ${ledger.last}, and the archive's at ${walk.last}`;
    findings.push({ code: 'TAIL_CUT', tenant, where, sequence: ledger.last, message });
  }
  const named = findings.filter(({ code }) => code === 'REWRITTEN');
  const known = new Set(named.map(({ sequence }) => sequence));
  const differ = [...walk.hashes].filter(([sequence, hash]) => {
    const own = ledger.hashes.get(sequence);
    return own !== undefined && own !== hash && !known.has(sequence);
  });
  for (const [sequence] of differ.slice(0, MOST_NAMED)) {
    const more = sequence === differ[0]?.[0] && differ.length > 1 ? ` (the first of ${differ.length})` : '';
    const message = `entry ${sequence} is not the one that was archived${more}`;
    findings.push({ code: 'REWRITTEN', tenant, where, sequence, message });
  }
  return findings;
}

/** A chain that was rewritten from its beginning need not be told entry by entry. */
const MOST_NAMED = 20;

/** One key, job or restore, as the ledger has it now. */
interface Item {
  readonly name: string;
  readonly listed: number;
  read(): Promise<Audited<{ readonly revision: number }> | null>;
  eventId(revision: number): string;
}

async function compareItems(
  deps: VerifyDeps,
  tenant: string,
  walk: Walk,
  { keys, jobs, restores }: ListedItems,
): Promise<readonly Finding[]> {
  const items = new Map<string, Item>();
  for (const [name, recorded] of walk.items) items.set(name, recordedItem(deps, tenant, name, recorded));
  const listed = [
    ...keys.map(({ purpose, keyId, revision }) => keyItem(deps, tenant, purpose, keyId, revision)),
    ...jobs.map(({ jobId, revision }) => jobItem(deps, jobId, revision)),
    ...restores.map(({ restoreId, revision }) => restoreItem(deps, restoreId, revision)),
  ];
  for (const item of listed) items.set(item.name, item);
  const found = await inLanes([...items.values()], LANES, (item) => compareItem(deps, tenant, walk, item));
  return found.flatMap((finding) => finding ?? []);
}

function recordedItem(deps: VerifyDeps, tenant: string, name: string, { purpose }: RecordedItem): Item {
  const id = name.slice(name.indexOf('/') + 1);
  if (name.startsWith('key/')) return keyItem(deps, tenant, purpose, id, 0);
  return name.startsWith('job/') ? jobItem(deps, id, 0) : restoreItem(deps, id, 0);
}

function keyItem(
  { audit }: VerifyDeps,
  tenant: string,
  purpose: string,
  keyId: string,
  listed: number,
): Item {
  return {
    name: `key/${keyId}`,
    listed,
    read: async () => {
      const found = await audit.readKey(tenant, purpose);
      return found?.item.keyId === keyId ? found : null;
    },
    eventId: (revision) => keyEventId({ keyId, revision }),
  };
}

function jobItem({ audit }: VerifyDeps, jobId: string, listed: number): Item {
  return {
    name: `job/${jobId}`,
    listed,
    read: () => audit.readJob(jobId),
    eventId: (revision) => jobEventId({ jobId, revision }),
  };
}

function restoreItem({ audit }: VerifyDeps, restoreId: string, listed: number): Item {
  return {
    name: `restore/${restoreId}`,
    listed,
    read: () => audit.readRestore(restoreId),
    eventId: (revision) => restoreEventId({ restoreId, revision }),
  };
}

/** Changes that are made meanwhile are seen by reading on; each makes more of the chain true, so it ends. */
const LOOKS = 5;

async function compareItem(
  deps: VerifyDeps,
  tenant: string,
  walk: Walk,
  item: Item,
): Promise<Finding | null> {
  const recorded = () => walk.items.get(item.name)?.revision ?? 0;
  if (item.listed === recorded()) return null;
  const finding = (code: Finding['code'], message: string): Finding => ({
    ...{ code, tenant, where: 'ledger', sequence: null, message },
  });
  let stored: Audited<{ readonly revision: number }> | null = null;
  for (let look = 0; look < LOOKS; look++) {
    const before = recorded();
    try {
      stored = await item.read();
    } catch (error) {
      if (!(error instanceof KeyturnError) || error.retryable) throw error;
      return finding('EDITED', `${item.name} in the ledger was not written by Keyturn (${error.code})`);
    }
    const { revision = 0 } = stored?.item ?? {};
    if (revision < before) break;
    await walkOn(deps.audit, tenant, walk);
    if (recorded() >= revision) {
      if (recorded() === revision) return null;
      continue;
    }
    const pending = stored?.outbox;
    const waits = pending !== null && pending !== undefined && isPending(pending);
    if (waits && pending.eventId === item.eventId(revision) && recorded() === revision - 1) return null;
  }
  const { revision = 0 } = stored?.item ?? {};
  if (stored === null) return finding('ROLLED_BACK', `${item.name} is not in the ledger any more`);
  return revision < recorded()
    ? finding(
        'ROLLED_BACK',
        `${item.name} is at revision ${revision}, and the chain tells of revision ${recorded()}`,
      )
    : finding(
        'UNRECORDED',
        `${item.name} is at revision ${revision}, and the chain tells of it up to revision ${recorded()}`,
      );
}
