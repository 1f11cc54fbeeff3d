import type { JWK } from 'jose';
import type { Deps } from '../deps/deps.ts';
import { type ChangingItems, compareItems } from './compare-items.ts';
import { findUnrecorded, type ListedRequests } from './find-unrecorded.ts';
import { type Finding, isFinding } from './findings.ts';
import type { ExportMark } from './outbox.ts';
import { type Archived, compareAnchors, readArchive } from './read-archive.ts';
import type { Walk } from './walk.ts';
import { startLedgerWalk } from './walk-ledger.ts';

export interface VerifyReport {
  readonly tenant: string;
  /** Entries in the ledger; null: it was not asked. */
  readonly entries: number | null;
  readonly archived: number;
  readonly anchors: number;
  readonly findings: readonly Finding[];
  /** What of the ledger was not looked at, so that nothing found there says nothing of it. For people. */
  readonly unread: readonly string[];
}

export type VerifyDeps = Pick<Deps, 'archive' | 'audit' | 'clock' | 'ledger'>;

/** Items as they were listed, all of the tenant; restores are the service's own. */
export interface ListedItems extends ChangingItems, ListedRequests {}

/**
 * Compares a tenant's chain in the ledger with its hashes, with the archive, with the signed anchors, and with the items
 * that it tells of. May run while changes are made: what is compared is read in the order in which it is written.
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
  const ledger = startLedgerWalk(deps, tenant);
  await ledger.on();
  const items = await compareItems(deps, tenant, ledger, listed);
  const unrecorded = await findUnrecorded(deps, tenant, ledger, listed);
  const { walk } = ledger;
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
      ...ledger.findings,
      ...unrecorded.findings,
    ],
    unread: unrecorded.unread,
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
    if (!isFinding(error)) throw error;
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
  return { tenant, entries: null, archived: walk.last, anchors: anchors.length, findings, unread: [] };
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
