import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { Restore } from '../rotation/restore.ts';
import type { Job } from '../rotation/rotation.ts';
import { describeJobChange, describeKeyChange, jobEventId, keyEventId, restoreEventId } from './describe.ts';
import { describeRestore } from './describe-words.ts';
import type { AuditEntry } from './entry.ts';
import { type Finding, isFinding } from './findings.ts';
import { isPending, type Outbox } from './outbox.ts';
import { stateDifferences } from './same-detail.ts';
import type { RecordedItem } from './walk.ts';
import type { LedgerWalk } from './walk-ledger.ts';

/** Keys, jobs and restores beside the entries of their revisions. */

/** As they were listed, all of the tenant; restores are the service's own. */
export interface ChangingItems {
  readonly keys: readonly TenantKey[];
  readonly jobs: readonly Job[];
  readonly restores: readonly Restore[];
}

type ItemDeps = Pick<Deps, 'audit'>;

const LANES = 8;

/** One key, job or restore: as it was listed, and how it is read again. */
interface Item {
  readonly name: string;
  /** null: it was not listed. */
  readonly listed: Shown | null;
  read(): Promise<{ readonly shown: Shown; readonly outbox: Outbox | null } | null>;
  eventId(revision: number): string;
}

interface Shown {
  readonly revision: number;
  /** What an entry of that revision tells of it. */
  readonly detail: AuditEntry['detail'];
}

export async function compareItems(
  deps: ItemDeps,
  tenant: string,
  ledger: LedgerWalk,
  { keys, jobs, restores }: ChangingItems,
): Promise<readonly Finding[]> {
  const items = new Map<string, Item>();
  for (const [name, recorded] of ledger.walk.items)
    items.set(name, recordedItem(deps, tenant, name, recorded));
  const listed = [
    ...keys.map((key) => keyItem(deps, key, showKey(key))),
    ...jobs.map((job) => jobItem(deps, job.jobId, showJob(job))),
    ...restores.map((restore) => restoreItem(deps, restore.restoreId, showRestore(restore))),
  ];
  for (const item of listed) items.set(item.name, item);
  const found = await inLanes([...items.values()], LANES, (item) => compareItem(tenant, ledger, item));
  return found.flatMap((finding) => finding ?? []);
}

function recordedItem(deps: ItemDeps, tenant: string, name: string, { purpose }: RecordedItem): Item {
  const id = name.slice(name.indexOf('/') + 1);
  if (name.startsWith('key/')) return keyItem(deps, { tenant, purpose, keyId: id }, null);
  return name.startsWith('job/') ? jobItem(deps, id, null) : restoreItem(deps, id, null);
}

function keyItem(
  { audit }: ItemDeps,
  { tenant, purpose, keyId }: Pick<TenantKey, 'tenant' | 'purpose' | 'keyId'>,
  listed: Shown | null,
): Item {
  return {
    name: `key/${keyId}`,
    listed,
    read: async () => {
      const found = await audit.readKey(tenant, purpose);
      return found?.item.keyId === keyId ? { shown: showKey(found.item), outbox: found.outbox } : null;
    },
    eventId: (revision) => keyEventId({ keyId, revision }),
  };
}

function jobItem({ audit }: ItemDeps, jobId: string, listed: Shown | null): Item {
  return {
    name: `job/${jobId}`,
    listed,
    read: async () => {
      const found = await audit.readJob(jobId);
      return found === null ? null : { shown: showJob(found.item), outbox: found.outbox };
    },
    eventId: (revision) => jobEventId({ jobId, revision }),
  };
}

function restoreItem({ audit }: ItemDeps, restoreId: string, listed: Shown | null): Item {
  return {
    name: `restore/${restoreId}`,
    listed,
    read: async () => {
      const found = await audit.readRestore(restoreId);
      return found === null ? null : { shown: showRestore(found.item), outbox: found.outbox };
    },
    eventId: (revision) => restoreEventId({ restoreId, revision }),
  };
}

function showKey(key: TenantKey): Shown {
  return { revision: key.revision, detail: describeKeyChange(key, key).detail };
}

function showJob(job: Job): Shown {
  return { revision: job.revision, detail: describeJobChange(job, job).detail };
}

function showRestore(restore: Restore): Shown {
  return { revision: restore.revision, detail: describeRestore(restore, restore).detail };
}

/** Changes that are made meanwhile are seen by reading on; each makes more of the chain true, so it ends. */
const LOOKS = 5;

async function compareItem(tenant: string, ledger: LedgerWalk, item: Item): Promise<Finding | null> {
  const told = () => ledger.walk.items.get(item.name);
  const recorded = () => told()?.revision ?? 0;
  const finding = (code: Finding['code'], message: string): Finding => ({
    ...{ code, tenant, where: 'ledger', sequence: null, message },
  });
  /** Of the revision that the chain tells of last. */
  const compareState = ({ revision, detail }: Shown): Finding | null => {
    const changed = stateDifferences(told()?.detail ?? {}, detail);
    return changed.length === 0
      ? null
      : finding(
          'CHANGED',
          `${item.name} is not what the chain tells of its revision ${revision} (${changed.join(', ')})`,
        );
  };
  if (item.listed?.revision === recorded()) return compareState(item.listed);
  let stored: Awaited<ReturnType<Item['read']>> = null;
  for (let look = 0; look < LOOKS; look++) {
    const before = recorded();
    try {
      stored = await item.read();
    } catch (error) {
      if (!isFinding(error)) throw error;
      return finding('EDITED', `${item.name} in the ledger was not written by Keyturn (${error.code})`);
    }
    const revision = stored?.shown.revision ?? 0;
    if (revision < before) break;
    await ledger.on();
    if (recorded() >= revision) {
      if (recorded() === revision) return stored === null ? null : compareState(stored.shown);
      continue;
    }
    const pending = stored?.outbox;
    const waits = pending !== null && pending !== undefined && isPending(pending);
    if (waits && pending.eventId === item.eventId(revision) && recorded() === revision - 1) return null;
  }
  if (stored === null) return finding('ROLLED_BACK', `${item.name} is not in the ledger any more`);
  const { revision } = stored.shown;
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
