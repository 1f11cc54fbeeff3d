import type { ApprovalRequest } from '../approvals/approval.ts';
import { LedgerError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { CreateResult, Ledger } from '../ledger/ledger.ts';
import type { Restore } from '../rotation/restore.ts';
import type { Job } from '../rotation/rotation.ts';
import type { AuditParts } from './audit.ts';
import { createChain } from './chain.ts';
import {
  type Description,
  describeJobChange,
  describeKeyChange,
  jobEventId,
  keyEventId,
  restoreEventId,
} from './describe.ts';
import {
  describeApproval,
  describeApprovalRequest,
  describeApprovalVoid,
  describeCensus,
  describeCertificate,
  describeRestore,
} from './describe-words.ts';
import {
  type Audited,
  isPending,
  type LedgerStore,
  type Outbox,
  type PendingEvent,
  SERVICE,
} from './outbox.ts';

/** Items that were read and not yet written, kept until then: more than one process ever works on at the same time. */
const ITEMS_KEPT = 500;

/**
 * The ledger that everybody but applications writes through. Each change of state is described by a pure function, left
 * in the outbox of its item by the very write that makes the change, and appended to the tenant's chain. Before an item
 * is written, the event that its outbox still holds is appended: so the entries of one item are in the chain in the order
 * of its revisions, without a gap.
 *
 * A write costs one more write, for the entry; where another process wrote the item before, one more read, of the end
 * of the chain; and one more read where the item was not read by this process right before.
 */
export function createAuditedLedger(
  store: LedgerStore,
  { clock, actor, chain = createChain(store) }: AuditParts,
): Ledger {
  const eventOf = (
    tenant: string,
    eventId: string,
    described: Description,
    afterSequence: number,
  ): PendingEvent => ({
    tenant,
    eventId,
    at: new Date(clock.now()).toISOString(),
    actor: actor(),
    ...described,
    afterSequence,
  });

  /** Where the last event of an item is in the chain: no later one is before it. */
  const settle = async (tenant: string, outbox: Outbox | null): Promise<number> => {
    if (outbox === null) return chain.reach(tenant);
    return isPending(outbox) ? chain.append(tenant, outbox, outbox.afterSequence) : outbox.sequence;
  };

  const created = async <T>(
    tenant: string,
    eventId: string,
    described: Description,
    write: (ledger: Ledger) => Promise<CreateResult<T>>,
  ): Promise<CreateResult<T>> => {
    const event = eventOf(tenant, eventId, described, await chain.reach(tenant));
    const result = await write(store.leaving(event));
    if (result.status === 'created') await chain.append(tenant, event, event.afterSequence);
    return result;
  };

  const replaced = async <T extends { readonly revision: number }>(
    kind: Replaceable<T>,
    next: T,
    write: (ledger: Ledger) => Promise<void>,
  ): Promise<void> => {
    const kept = kind.kept.take(next);
    const before = kept?.item.revision === next.revision - 1 ? kept : await kind.read(next);
    // Not there, or changed since: the ledger says so.
    if (before === null || before.item.revision !== next.revision - 1) return write(store);
    const tenant = kind.tenantOf(next);
    const afterSequence = await settle(tenant, before.outbox);
    const described = kind.describe(before.item, next);
    const event = eventOf(tenant, kind.eventId(next), described, afterSequence);
    await write(store.leaving(event));
    const sequence = await chain.append(tenant, event, afterSequence);
    kind.kept.put({ item: next, outbox: { eventId: event.eventId, sequence } });
  };

  const keys: Replaceable<TenantKey> = {
    tenantOf: ({ tenant }) => tenant,
    kept: keep(({ tenant, purpose }) => JSON.stringify([tenant, purpose])),
    read: ({ tenant, purpose }) => store.readKey(tenant, purpose),
    eventId: keyEventId,
    describe: describeKeyChange,
  };
  const jobs: Replaceable<Job> = {
    tenantOf: ({ tenant }) => tenant,
    kept: keep(({ jobId }) => jobId),
    read: ({ jobId }) => store.readJob(jobId),
    eventId: jobEventId,
    describe: describeJobChange,
  };
  const restores: Replaceable<Restore> = {
    tenantOf: () => SERVICE,
    kept: keep(({ restoreId }) => restoreId),
    read: ({ restoreId }) => store.readRestore(restoreId),
    eventId: restoreEventId,
    describe: describeRestore,
  };

  const requestOf = async (requestId: string): Promise<ApprovalRequest> => {
    const request = await store.getApprovalRequest(requestId);
    if (request !== null) return request;
    throw new LedgerError('LEDGER_NOT_FOUND', `There is no approval request ${requestId}`);
  };

  return {
    ...store,
    getKey: async (tenant, purpose) => keys.kept.put(await store.readKey(tenant, purpose)),
    createKey: (key) =>
      created(key.tenant, keyEventId(key), describeKeyChange(null, key), (ledger) => ledger.createKey(key)),
    replaceKey: (key, ...more) => replaced(keys, key, (ledger) => ledger.replaceKey(key, ...more)),
    getJob: async (jobId) => jobs.kept.put(await store.readJob(jobId)),
    createJob: (job) =>
      created(job.tenant, jobEventId(job), describeJobChange(null, job), (ledger) => ledger.createJob(job)),
    replaceJob: (job) => replaced(jobs, job, (ledger) => ledger.replaceJob(job)),
    getRestore: async (restoreId) => restores.kept.put(await store.readRestore(restoreId)),
    createRestore: (restore) =>
      created(SERVICE, restoreEventId(restore), describeRestore(null, restore), (ledger) =>
        ledger.createRestore(restore),
      ),
    replaceRestore: (restore) => replaced(restores, restore, (ledger) => ledger.replaceRestore(restore)),

    createApprovalRequest: (request) =>
      created(
        request.tenant,
        `approval-request/${request.requestId}`,
        describeApprovalRequest(request),
        (ledger) => ledger.createApprovalRequest(request),
      ),
    async createApproval(approval) {
      const request = await requestOf(approval.requestId);
      const eventId = `approval/${approval.requestId}/${approval.approver}`;
      return created(request.tenant, eventId, describeApproval(request, approval), (ledger) =>
        ledger.createApproval(approval),
      );
    },
    async voidApprovalRequest(entry) {
      const request = await requestOf(entry.requestId);
      const eventId = `approval-void/${entry.requestId}`;
      return created(request.tenant, eventId, describeApprovalVoid(request, entry), (ledger) =>
        ledger.voidApprovalRequest(entry),
      );
    },
    createCertificate: (certificate) =>
      created(
        certificate.tenant,
        `certificate/${certificate.keyId}/${certificate.version}`,
        describeCertificate(certificate),
        (ledger) => ledger.createCertificate(certificate),
      ),
    putStoredCensus: (census) =>
      created(census.tenant, `census/${census.censusId}`, describeCensus(census), (ledger) =>
        ledger.putStoredCensus(census),
      ),
  };
}

interface Replaceable<T> {
  /** Whose chain tells of it. */
  tenantOf(item: T): string;
  readonly kept: Kept<T>;
  read(item: T): Promise<Audited<T> | null>;
  eventId(item: T): string;
  describe(before: T, after: T): Description;
}

interface Kept<T> {
  put(read: Audited<T> | null): T | null;
  take(item: T): Audited<T> | undefined;
}

/** What was read last of each item. A write is on condition that the item is still of the revision that was read. */
function keep<T>(nameOf: (item: T) => string): Kept<T> {
  const items = new Map<string, Audited<T>>();
  return {
    put(read) {
      if (read === null) return null;
      const name = nameOf(read.item);
      items.delete(name);
      items.set(name, read);
      const [oldest] = items.keys();
      if (items.size > ITEMS_KEPT && oldest !== undefined) items.delete(oldest);
      return read.item;
    },
    take(item) {
      const name = nameOf(item);
      const read = items.get(name);
      items.delete(name);
      return read;
    },
  };
}
