import { inLanes } from '../../concurrency/in-lanes.ts';
import { addCounts, NO_COUNT } from '../census-count.ts';
import type { CensusCount, CensusReach, RecordKey, Scope } from '../record-store.ts';
import type { Segment } from './cursor.ts';
import { type Content, contentOf, tenantOf, valuesOf } from './envelopes.ts';
import type { Requests } from './requests.ts';
import type { TableShape } from './table.ts';
import { partitionWalk, scanWalk, type Walk } from './walk.ts';

/** Scans that one segment is counted by, side by side: one alone waits for DynamoDB most of its time. */
const SCANS = 4;

/**
 * Strongly consistent: each item is read as it is after every write that was answered before the call. DynamoDB
 * has no transaction that stays open while others work: TransactWriteItems is one request, and none of it is seen
 * before all of it is. A write that is under way is over within its request's time, which the propagation barrier
 * before a census allows for (`maxTransactionSeconds`), and the census of a purge comes a whole grace later.
 */
export async function countEnvelopes(
  requests: Requests,
  shape: TableShape,
  scope: Scope,
  segment: Segment,
  reach: CensusReach,
): Promise<CensusCount> {
  const walks = censusWalks(requests, shape, scope, segment, reach);
  const counts = await inLanes(walks, requests.lanes, (walk) => countWalk(walk, shape, scope, reach));
  return counts.reduce(addCounts, NO_COUNT);
}

function censusWalks(
  requests: Requests,
  shape: TableShape,
  scope: Scope,
  segment: Segment,
  reach: CensusReach,
): readonly Walk[] {
  const oneTenant = reach === 'tenant';
  if (segment.kind === 'partition' && oneTenant) return [partitionWalk(requests, shape, scope, true)];
  // Never by an index, however its segments are listed.
  const { part, of } = segment.kind === 'partition' ? { part: 0, of: 1 } : segment;
  const options = { consistent: true, ...(oneTenant ? { tenant: scope.tenant } : {}) };
  return Array.from({ length: SCANS }, (_, i) =>
    scanWalk(requests, shape, part * SCANS + i, of * SCANS, options),
  );
}

/** An envelope that is not of the scope's key is another's. */
const COUNTED_AS = {
  envelope: 'foreign',
  tombstone: 'tombstones',
  malformed: 'malformed',
} as const satisfies Record<Content['kind'], keyof CensusCount>;

async function countWalk(
  walk: Walk,
  shape: TableShape,
  scope: Scope,
  reach: CensusReach,
): Promise<CensusCount> {
  const count = { rows: 0, values: 0, foreign: 0, malformed: 0, tombstones: 0 };
  const versions: Record<string, number> = {};
  for (let after: RecordKey | null = null; ; ) {
    const page = await walk.next(after);
    for (const item of page.items) {
      const mine = tenantOf(shape, item) === scope.tenant && scope.tenant !== '';
      if (!mine && reach === 'tenant') continue;
      count.rows += 1;
      for (const value of valuesOf(shape, item)) {
        if (value === null) continue;
        count.values += 1;
        const content = contentOf(value);
        if (content.kind === 'envelope' && content.keyId === scope.keyId) {
          versions[content.version] = (versions[content.version] ?? 0) + 1;
        } else if (mine) {
          count[COUNTED_AS[content.kind]] += 1;
        }
      }
    }
    if (page.last === null) return { ...count, versions };
    after = page.last;
  }
}
