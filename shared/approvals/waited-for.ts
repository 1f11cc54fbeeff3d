import { purgeJobId } from '../rotation/job-id.ts';
import { isRunning, waitsForApproval } from '../rotation/rotation.ts';
import type { ApprovalRequest } from './approval.ts';
import type { ApprovalDeps } from './check-approvals.ts';

/** Why nobody waits for an open request any more. `done`: what it asks for has happened, or needs not happen now. */
export interface NotWaitedFor {
  readonly status: 'void' | 'done';
  /** For people. */
  readonly why: string;
}

/** Null: its purge, or whoever asked, waits for it. It only reads. */
export async function whyNotWaitedFor(
  { ledger }: Pick<ApprovalDeps, 'ledger'>,
  { requestId, action, tenant, purpose, keyId, version, evidence }: ApprovalRequest,
): Promise<NotWaitedFor | null> {
  switch (action) {
    case 'purge': {
      const job = await ledger.getJob(purgeJobId(keyId, version));
      const waits = job?.approvalId === requestId && (isRunning(job.status) || waitsForApproval(job));
      return waits ? null : { status: 'void', why: 'no purge waits for it, or for another request by now' };
    }
    case 'release-hold': {
      const { holdId } = evidence as { readonly holdId?: unknown };
      const key = await ledger.getKey(tenant, purpose);
      const stands = key?.holds.some((hold) => hold.holdId === holdId) ?? false;
      return stands ? null : { status: 'done', why: 'its hold does not stand any more' };
    }
    case 'give-up': {
      const name = nameOf(evidence);
      const listed = await ledger.listQuarantined(keyId);
      const stands = listed.some((record) => nameOf(record) === name);
      return stands ? null : { status: 'done', why: 'its value has left the quarantine' };
    }
  }
}

function nameOf(record: object): string {
  const { recordSet, recordId, field } = record as Record<'recordSet' | 'recordId' | 'field', unknown>;
  return JSON.stringify([recordSet, recordId, field]);
}
