import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { SegmentCensus } from '../../shared/ledger/ledger.ts';
import { timestamp } from '../../shared/rotation/change.ts';
import type { CensusResult } from '../../shared/rotation/rotation.ts';
import { addUp } from '../../shared/rotation/take-census.ts';
import { mapConcurrently } from './concurrent.ts';

const AT_ONCE = 4;

/** A census of a key at this moment, by reading the envelopes of every record set that the key may serve. */
export async function countKey(
  deps: Deps,
  key: TenantKey,
  reach: CensusResult['reach'],
): Promise<CensusResult> {
  const scope = { tenant: key.tenant, keyId: key.keyId };
  const parts: { recordSet: string; segment: string }[] = [];
  for (const recordSet of deps.recordSets.ofKey(key.tenant, key.purpose)) {
    const store = deps.recordSets.store(recordSet);
    const segments =
      reach === 'everywhere'
        ? await store.segmentsEverywhere(deps.config.rotation.segments)
        : await store.segments(scope, deps.config.rotation.segments);
    for (const segment of segments) parts.push({ recordSet, segment });
  }
  const counted = await mapConcurrently(
    [...parts.entries()],
    AT_ONCE,
    async ([index, { recordSet, segment }]): Promise<SegmentCensus> => {
      const takenAt = timestamp(deps.clock.now());
      const count = await deps.recordSets.store(recordSet).census(scope, segment, reach);
      return { jobId: '', census: 'now', segment: index, recordSet, count, takenAt };
    },
  );
  return addUp(counted, reach, key.active, key.active, timestamp(deps.clock.now()));
}
