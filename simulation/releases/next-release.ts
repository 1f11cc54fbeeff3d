import { z } from 'zod';
import type { Handler } from '../../functions/lambda.ts';
import type { Audited, LedgerStore } from '../../shared/audit/outbox.ts';
import type { Authenticator } from '../../shared/ledger/authentication/authenticator.ts';
import type { CreateResult, Ledger } from '../../shared/ledger/ledger.ts';
import { writeBody } from '../../shared/queue/message-body.ts';
import type { WorkQueue } from '../../shared/queue/work-queue.ts';
import { canonicalBytes } from '../../shared/signing/canonical-json.ts';
import { changeParts, LATER } from './later.ts';
import { overlay } from './overlay.ts';

/**
 * The next release: this code, whose ledger writes one member more and takes it off what it reads, and whose messages have
 * one more. What it writes always has the member; that an older process takes none away is for kept.ts to see.
 */
const NEW = 'what only the next release knows';

type Kind = 'keys' | 'jobs' | 'restores' | 'approvalVoids';
type Part = Readonly<Record<string, unknown>>;

function shown<T extends object>(kind: Kind, item: T): T {
  const changed: object = changeParts(kind, item as Part, (part) => ({ ...part, [LATER]: NEW }));
  return changed as T;
}

function taken<T extends object>(kind: Kind, item: T): T {
  const changed: object = changeParts(kind, item as Part, ({ [LATER]: _, ...part }) => part);
  return changed as T;
}

export function asNextRelease(ledger: LedgerStore): LedgerStore {
  return {
    ...ledger,
    ...readingAndWriting(ledger),
    readKey: async (tenant, purpose) => audited('keys', await ledger.readKey(tenant, purpose)),
    readJob: async (jobId) => audited('jobs', await ledger.readJob(jobId)),
    readRestore: async (restoreId) => audited('restores', await ledger.readRestore(restoreId)),
    leaving: (event) => {
      const leaving = ledger.leaving(event);
      return overlay(leaving, readingAndWriting(leaving));
    },
  };
}

function readingAndWriting(ledger: Ledger): Partial<Ledger> {
  return {
    getKey: async (tenant, purpose) => orNull('keys', await ledger.getKey(tenant, purpose)),
    createKey: async (key) => created('keys', await ledger.createKey(shown('keys', key))),
    replaceKey: (key) => ledger.replaceKey(shown('keys', key)),
    listKeys: async (onSkipped) => (await ledger.listKeys(onSkipped)).map((key) => taken('keys', key)),
    scanKeys: async () => (await ledger.scanKeys()).map((key) => taken('keys', key)),
    getJob: async (jobId) => orNull('jobs', await ledger.getJob(jobId)),
    createJob: async (job) => created('jobs', await ledger.createJob(shown('jobs', job))),
    replaceJob: (job) => ledger.replaceJob(shown('jobs', job)),
    listJobs: async (filter, onSkipped) =>
      (await ledger.listJobs(filter, onSkipped)).map((job) => taken('jobs', job)),
    getRestore: async (restoreId) => orNull('restores', await ledger.getRestore(restoreId)),
    createRestore: async (restore) =>
      created('restores', await ledger.createRestore(shown('restores', restore))),
    replaceRestore: (restore) => ledger.replaceRestore(shown('restores', restore)),
    listRestores: async () => (await ledger.listRestores()).map((restore) => taken('restores', restore)),
    getApprovalVoid: async (requestId) => orNull('approvalVoids', await ledger.getApprovalVoid(requestId)),
    voidApprovalRequest: async (entry) =>
      created('approvalVoids', await ledger.voidApprovalRequest(shown('approvalVoids', entry))),
  };
}

function orNull<T extends object>(kind: Kind, item: T | null): T | null {
  return item === null ? null : taken(kind, item);
}

function created<T extends object>(kind: Kind, { status, item }: CreateResult<T>): CreateResult<T> {
  return { status, item: taken(kind, item) };
}

function audited<T extends object>(kind: Kind, found: Audited<T> | null): Audited<T> | null {
  return found === null ? null : { ...found, item: taken(kind, found.item) };
}

export function queueOfNextRelease(queue: WorkQueue): WorkQueue {
  return { send: (messages) => queue.send(messages.map((message) => ({ ...message, [LATER]: NEW }))) };
}

const sqsEvent = z.object({ Records: z.array(z.looseObject({ body: z.string() })) });
const bodySchema = z.looseObject({ mac: z.string(), [LATER]: z.unknown() });

/** A worker of the next release, which reads the messages of both. */
export function readingNextMessages(handler: Handler<unknown>, state: Authenticator): Handler<unknown> {
  return async (event, context) => {
    const parsed = sqsEvent.safeParse(event);
    if (!parsed.success) return handler(event, context);
    const records = parsed.data.Records.map(async (record) => ({
      ...record,
      body: await bodyOfThisRelease(record.body, state),
    }));
    return handler({ Records: await Promise.all(records) }, context);
  };
}

/** What is not the next release's, or was not sent like this, stays as it is. */
async function bodyOfThisRelease(body: string, state: Authenticator): Promise<string> {
  const parsed = bodySchema.safeParse(JSON.parse(body));
  if (parsed.data?.[LATER] === undefined) return body;
  const { mac, ...whole } = parsed.data;
  if (!(await state.verify(canonicalBytes({ message: whole }), mac))) return body;
  const { [LATER]: _, ...message } = whole;
  return writeBody(state, message as Parameters<typeof writeBody>[1]);
}
