import { addUp } from '../../shared/census/add-up.ts';
import { exclusionsOf, type StoreFindings } from '../../shared/census/exclusions.ts';
import { mergeResults } from '../../shared/census/search-results.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { SegmentCensus } from '../../shared/ledger/ledger.ts';
import type { SearchResult } from '../../shared/records/store-search.ts';
import { timestamp } from '../../shared/rotation/change.ts';
import type { CensusResult } from '../../shared/rotation/rotation.ts';
import { placeOf } from '../../shared/rotation/served.ts';
import { ofKey } from '../../shared/rotation/take-census.ts';
import { mapConcurrently } from './concurrent.ts';

const AT_ONCE = 4;

export interface CountOptions {
  readonly reach: CensusResult['reach'];
  /** Also look for columns that hold envelopes and that no record set declares. */
  readonly search: boolean;
  readonly takenBy: string;
  /** Called after each part. */
  onPart?(progress: CountProgress): void;
}

export interface CountProgress {
  readonly done: number;
  readonly parts: number;
  /** So far. */
  readonly rows: number;
}

/** A part of the work: a segment that is counted, or a part of a store that is searched. */
type Part =
  | { readonly recordSet: string; readonly segment: string }
  | { readonly search: string; readonly segment: string };

/**
 * A census of a key at this moment, by reading the envelopes: of the tenant's rows in the record sets that the key may
 * serve, or, as a purge does it, of every row of every declared table.
 */
export async function countKey(deps: Deps, key: TenantKey, options: CountOptions): Promise<CensusResult> {
  const { reach } = options;
  const own = deps.recordSets.ofKey(key.tenant, key.purpose);
  const read = reach === 'everywhere' ? deps.recordSets.names : own;
  const parts = [
    ...(await cutSegments(deps, key, read, reach)),
    ...(options.search ? await cutSearches(deps) : []),
  ];
  let done = 0;
  let rows = 0;
  const counted: SegmentCensus[] = [];
  const results = new Map<string, SearchResult[]>();
  await mapConcurrently([...parts.entries()], AT_ONCE, async ([index, part]) => {
    if ('search' in part) {
      const { keyId, active } = key;
      const search = deps.recordSets.search(part.search);
      const found = await search.search(part.segment, { keyId, version: active }, Number.POSITIVE_INFINITY);
      results.set(part.search, [...(results.get(part.search) ?? []), found]);
    } else {
      const takenAt = timestamp(deps.clock.now());
      const scope = { tenant: key.tenant, keyId: key.keyId };
      const count = await deps.recordSets.store(part.recordSet).census(scope, part.segment, reach);
      counted.push({
        jobId: '',
        census: 'now',
        segment: index,
        recordSet: part.recordSet,
        count,
        read: placeOf(deps.config, part.recordSet),
        takenAt,
      });
      rows += count.rows;
    }
    done += 1;
    options.onPart?.({ done, parts: parts.length, rows });
  });
  const searched = options.search
    ? deps.recordSets.stores.map(
        (store): StoreFindings => ({ store, ...mergeResults(results.get(store) ?? []) }),
      )
    : null;
  return addUp(counted.sort((a, b) => a.segment - b.segment).map(ofKey(new Set(own))), {
    ...{ version: key.active, active: key.active, reach, takenBy: options.takenBy },
    at: timestamp(deps.clock.now()),
    searched,
    excluded: (places) => exclusionsOf({ config: deps.config, key, reach, read: places, own, searched }),
  });
}

async function cutSegments(
  deps: Deps,
  key: TenantKey,
  recordSets: readonly string[],
  reach: CensusResult['reach'],
): Promise<Part[]> {
  const { segments: count } = deps.config.rotation;
  const parts: Part[] = [];
  for (const recordSet of recordSets) {
    const store = deps.recordSets.store(recordSet);
    const segments =
      reach === 'everywhere'
        ? await store.segmentsEverywhere(count)
        : await store.segments({ tenant: key.tenant, keyId: key.keyId }, count);
    for (const segment of segments) parts.push({ recordSet, segment });
  }
  return parts;
}

async function cutSearches(deps: Deps): Promise<Part[]> {
  const parts: Part[] = [];
  for (const store of deps.recordSets.stores) {
    for (const segment of await deps.recordSets.search(store).parts(deps.config.rotation.segments)) {
      parts.push({ search: store, segment });
    }
  }
  return parts;
}
