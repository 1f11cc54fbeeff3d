import type { Audited, LedgerStore } from '../../shared/audit/outbox.ts';
import { UnreadableItemError } from '../../shared/errors/errors.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { canaryText } from '../../shared/ledger/canary-text.ts';
import {
  approvalVoidSchema,
  jobSchema,
  parseFields,
  restoreSchema,
  tenantKeySchema,
} from '../../shared/ledger/items.ts';
import type { CreateResult, Ledger } from '../../shared/ledger/ledger.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { overlay } from './overlay.ts';

/**
 * This release beside the next one: what it reads goes through the schemas of the ledger's adapter, as on DynamoDB, so that it
 * meets what only the next one knows. The lists leave such an item out, as that adapter's do.
 */
export function asThisRelease(ledger: LedgerStore): LedgerStore {
  return {
    ...ledger,
    ...reading(ledger),
    readKey: async (tenant, purpose) => audited(readKey, await ledger.readKey(tenant, purpose)),
    readJob: async (jobId) => audited(readJob, await ledger.readJob(jobId)),
    readRestore: async (restoreId) => audited(readRestore, await ledger.readRestore(restoreId)),
    leaving: (event) => {
      const leaving = ledger.leaving(event);
      return overlay(leaving, reading(leaving));
    },
  };
}

const readKey = (key: TenantKey): TenantKey =>
  parseFields({ name: 'key', schema: tenantKeySchema }, { ...key, canary: canaryText(key.canary) });
const readJob = (job: Job): Job => parseFields({ name: 'job', schema: jobSchema }, job);
const readRestore = (restore: Restore): Restore =>
  parseFields({ name: 'restore', schema: restoreSchema }, restore);
const readVoid = (entry: object) =>
  parseFields({ name: 'void approval request', schema: approvalVoidSchema }, entry);

function reading(ledger: Ledger): Partial<Ledger> {
  return {
    getKey: async (tenant, purpose) => orNull(readKey, await ledger.getKey(tenant, purpose)),
    createKey: async (key) => created(readKey, await ledger.createKey(key)),
    listKeys: async (onSkipped) => known(readKey, await ledger.listKeys(), onSkipped),
    scanKeys: async () => (await ledger.scanKeys()).map(readKey),
    getJob: async (jobId) => orNull(readJob, await ledger.getJob(jobId)),
    createJob: async (job) => created(readJob, await ledger.createJob(job)),
    listJobs: async (filter, onSkipped) => known(readJob, await ledger.listJobs(filter), onSkipped),
    getRestore: async (restoreId) => orNull(readRestore, await ledger.getRestore(restoreId)),
    createRestore: async (restore) => created(readRestore, await ledger.createRestore(restore)),
    listRestores: async () => (await ledger.listRestores()).map(readRestore),
    getApprovalVoid: async (requestId) => orNull(readVoid, await ledger.getApprovalVoid(requestId)),
    voidApprovalRequest: async (entry) => created(readVoid, await ledger.voidApprovalRequest(entry)),
  };
}

function orNull<T>(read: (item: T) => T, item: T | null): T | null {
  return item === null ? null : read(item);
}

function created<T>(read: (item: T) => T, { status, item }: CreateResult<T>): CreateResult<T> {
  return { status, item: read(item) };
}

function audited<T>(read: (item: T) => T, found: Audited<T> | null): Audited<T> | null {
  return found === null ? null : { ...found, item: read(found.item) };
}

function known<T>(
  read: (item: T) => T,
  items: readonly T[],
  onSkipped: (what: string) => void = () => {},
): readonly T[] {
  return items.flatMap((item) => {
    try {
      return [read(item)];
    } catch (error) {
      if (!(error instanceof UnreadableItemError)) throw error;
      onSkipped('An item of the next release');
      return [];
    }
  });
}
