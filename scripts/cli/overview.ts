import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey, Timestamp } from '../../shared/keyring/key.ts';
import type { VersionState } from '../../shared/keyring/states.ts';
import type { Refusal } from '../../shared/rotation/call-off-purge.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { mapConcurrently } from './concurrent.ts';
import { versionsOf } from './key-words.ts';
import { type Counts, countRounds, isOver, readCalledOff } from './watch-jobs.ts';

/** What `keyturn status` shows, read from the ledger. */
export interface Overview {
  /** Running ones first, then the newest. */
  readonly jobs: readonly {
    readonly job: Job;
    readonly counts: Counts;
    /** What has called a purge off that its job does not tell of yet. */
    readonly calledOff: Refusal | null;
  }[];
  readonly olderJobs: number;
  readonly quarantined: readonly {
    readonly tenant: string;
    readonly purpose: string;
    readonly values: number;
  }[];
  readonly inGrace: readonly Grace[];
}

export interface Grace {
  readonly tenant: string;
  readonly purpose: string;
  readonly version: number;
  readonly state: VersionState;
  /** null: its rotation has not completed. */
  readonly purgeNotBefore: Timestamp | null;
}

const READERS = 8;

export async function readOverview(
  deps: Deps,
  keys: readonly TenantKey[],
  newest: number,
): Promise<Overview> {
  const known = new Set(keys.map(({ keyId }) => keyId));
  const jobs = (await deps.ledger.listJobs()).filter(({ keyId }) => known.has(keyId));
  // A paused one goes on by itself.
  const isOpen = (job: Job) => !isOver(job) || job.status === 'PAUSED';
  const running = jobs.filter(isOpen);
  const over = jobs.filter((job) => !isOpen(job));
  const shown = [...running, ...over.slice(0, newest)];
  // A quarantined value is on an old version or was never sealed, so its key has something that is not finished.
  const open = new Set(jobs.filter(({ status }) => status !== 'COMPLETED').map(({ keyId }) => keyId));
  const suspects = keys.filter((key) => open.has(key.keyId) || graceOf(key).length > 0);
  const quarantined = await mapConcurrently(suspects, READERS, async ({ tenant, purpose, keyId }) => ({
    tenant,
    purpose,
    values: (await deps.ledger.listQuarantined(keyId)).length,
  }));
  return {
    jobs: await mapConcurrently(shown, READERS, async (job) => ({
      job,
      counts: await countRounds(deps, job),
      calledOff: await readCalledOff(deps, job),
    })),
    olderJobs: Math.max(0, over.length - newest),
    quarantined: quarantined.filter(({ values }) => values > 0),
    inGrace: keys.flatMap(graceOf),
  };
}

function graceOf(key: TenantKey): Grace[] {
  const { tenant, purpose } = key;
  return versionsOf(key).flatMap(({ version, state, purgeNotBefore }) =>
    state === 'RETIRING' || state === 'DESTROY_PENDING'
      ? [{ tenant, purpose, version, state, purgeNotBefore }]
      : [],
  );
}
