import type { JWK } from 'jose';
import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import { verifyJws } from '../signing/verify-jws.ts';
import { ANCHOR_TYPE, type Anchor, anchorSchema } from './anchor.ts';
import { anchorPrefix, readAnchorName, readSegmentName, segmentPrefix } from './archive-names.ts';
import type { Finding } from './findings.ts';
import type { ExportMark } from './outbox.ts';
import { readSegment } from './segment.ts';
import { startWalk, type Walk } from './walk.ts';

/** What the archive has of one tenant's chain, and what is wrong in it. */

export interface Archived {
  readonly walk: Walk;
  readonly anchors: readonly Anchor[];
  readonly findings: readonly Finding[];
}

const LANES = 8;

export async function readArchive(
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

export function compareAnchors(
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
