import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import type { RecordKey, StalePage } from '../records/record-store.ts';
import { getKey } from './change.ts';
import type { Job } from './rotation.ts';

/** Lists what a job has to work on in one segment: stale envelopes, or plaintext to adopt. */
export interface Lister {
  readonly recordSet: string;
  /** How many segments its round has. */
  readonly segments: number;
  list(after: string | null, limit: number): Promise<StalePage>;
  /** All keys in the range, at most `limit`. */
  listRange(after: string | null, until: string, limit: number): Promise<readonly RecordKey[]>;
  cursorAfter(key: RecordKey): string;
}

export async function openLister(deps: Deps, job: Job, round: number, index: number): Promise<Lister> {
  const plan = await deps.ledger.getRound(job.jobId, round);
  const ref = plan?.segments[index];
  if (ref === undefined) {
    throw new RotationError('ROTATION_STATE', `Job ${job.jobId} has no segment ${index} in round ${round}`);
  }
  const store = deps.recordSets.store(ref.recordSet);
  const scope = { tenant: job.tenant, keyId: job.keyId };
  const active = job.kind === 'adopt' ? 0 : (await getKey(deps, job.tenant, job.purpose)).active;
  const list = (after: string | null, limit: number, until?: string) =>
    job.kind === 'adopt'
      ? store.listPlaintext(scope, ref.segment, after, limit, until)
      : store.listStale(scope, active, ref.segment, after, limit, until);
  return {
    recordSet: ref.recordSet,
    segments: plan?.segments.length ?? 1,
    list: (after, limit) => list(after, limit),
    cursorAfter: (key) => store.cursorAfter(key),
    async listRange(after, until, limit) {
      const keys: RecordKey[] = [];
      let cursor = after;
      while (keys.length < limit) {
        const page = await list(cursor, limit - keys.length, until);
        keys.push(...page.keys);
        if (page.cursor === null) break;
        cursor = page.cursor;
      }
      return keys;
    },
  };
}
