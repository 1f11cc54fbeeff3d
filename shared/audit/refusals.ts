import type { Deps } from '../deps/deps.ts';
import {
  type ApprovalErrorCode,
  type KeyErrorCode,
  KeyturnError,
  type RecordStoreErrorCode,
  type RotationErrorCode,
} from '../errors/errors.ts';
import { digestOf } from '../signing/canonical-json.ts';
import type { AuditValue } from './entry.ts';
import { SERVICE } from './outbox.ts';

/**
 * Requests that the domain refused, for the audit: what was asked for, by whom, and the code of the error; never its text,
 * which may name records. An entry a day for the same (action, code, actor, target), and a target is only what there is:
 * so nobody makes a chain grow by asking again and again, or for things that they make up.
 */

/** What somebody asked for, and of what. What is left out was not named. */
export interface AskedFor {
  /** As the command is called: `purge`, `holds release`. */
  readonly action: string;
  /** `person:<name>`; of the bus, which proves nobody's name, `bus`. */
  readonly actor: string;
  readonly tenant?: string | undefined;
  readonly purpose?: string | undefined;
  /** Instead of the purpose, which is then the record set's. */
  readonly recordSet?: string | undefined;
  readonly version?: number | undefined;
  readonly holdId?: string | undefined;
  readonly jobId?: string | undefined;
  /** Of a request for approval, and the approver who was named. */
  readonly requestId?: string | undefined;
  readonly approver?: string | undefined;
  /** Of a restore, which is no single tenant's. */
  readonly store?: string | undefined;
  readonly restoreId?: string | undefined;
  /** Said besides in the first entry of a day, and not told apart by. */
  readonly claimed?: Readonly<Record<string, AuditValue>>;
}

type RefusalDeps = Pick<Deps, 'audit' | 'clock' | 'config' | 'ledger'>;

/** Whether it is the domain's answer to a request. Others say that something is out of reach, broken or misspelt. */
const REFUSALS = {
  KEY_NOT_FOUND: true,
  KEY_EXISTS: true,
  VERSION_NOT_FOUND: true,
  VERSION_STATE: true,
  VERSION_DESTROYED: true,
  HOLD_NOT_FOUND: true,
  HOLD_REFUSED: true,
  KEY_CHECK_FAILED: false,
  KEY_UNAVAILABLE: false,
  ROTATION_NOT_FOUND: true,
  ROTATION_STATE: true,
  KEY_FULL: true,
  CENSUS_INCONSISTENT: false,
  CENSUS_NOT_FOUND: false,
  JOB_PAUSED: true,
  JOB_CANCELLED: true,
  ROLLBACK_REFUSED: true,
  PURGE_REFUSED: true,
  GIVE_UP_REFUSED: true,
  RESTORE_NOT_FOUND: true,
  RESTORE_REFUSED: true,
  MESSAGE_INVALID: false,
  QUEUE_UNAVAILABLE: false,
  EXECUTIONS_UNAVAILABLE: false,
  APPROVAL_NOT_FOUND: true,
  APPROVAL_REFUSED: true,
  APPROVAL_INVALID: true,
} as const satisfies Record<KeyErrorCode | RotationErrorCode | ApprovalErrorCode, boolean>;

/** Of a key that no record set is declared for. */
const UNDECLARED: RecordStoreErrorCode = 'RECORD_SET_NOT_FOUND';

const REFUSAL_CODES: ReadonlySet<string> = new Set([
  ...Object.entries(REFUSALS).flatMap(([code, refuses]) => (refuses ? [code] : [])),
  UNDECLARED,
]);

/** null: it is no refusal. */
export function refusalCode(error: unknown): string | null {
  return error instanceof KeyturnError && REFUSAL_CODES.has(error.code) ? error.code : null;
}

/**
 * Does the work; a refusal is in the audit before it is thrown on. One that cannot be recorded is thrown all the same, and
 * `onLost` is told the code of why it is not in the audit.
 */
export async function recordingRefusal<T>(
  deps: RefusalDeps,
  asked: AskedFor,
  work: () => Promise<T>,
  onLost: (code: string) => void,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = refusalCode(error);
    if (code !== null) await recordRefusal(deps, asked, code, onLost);
    throw error;
  }
}

/** Never throws: what is refused is refused, in the audit or not. */
export async function recordRefusal(
  deps: RefusalDeps,
  asked: AskedFor,
  code: string,
  onLost: (code: string) => void,
): Promise<void> {
  try {
    const found = await findTarget(deps, asked);
    // Nobody's: there is no chain that it belongs to.
    if (found === null) return;
    const { action, actor, claimed } = asked;
    const day = new Date(deps.clock.now()).toISOString().slice(0, 10);
    const told = digestOf({ action, code, actor, ...found.target });
    await deps.audit.record(found.chain, {
      eventId: `refused/${day}/${told}`,
      type: 'request.refused',
      detail: { action, code, ...found.target, ...claimed },
    });
  } catch (error) {
    onLost(error instanceof KeyturnError ? error.code : 'UNEXPECTED');
  }
}

interface Target {
  /** The tenant's, or the service's. */
  readonly chain: string;
  readonly target: Readonly<Record<string, AuditValue>>;
}

async function findTarget(deps: RefusalDeps, asked: AskedFor): Promise<Target | null> {
  const { requestId, jobId, store, restoreId, tenant } = asked;
  if (requestId !== undefined) return ofRequest(deps, requestId, asked.approver);
  const job = jobId === undefined ? null : await deps.ledger.getJob(jobId);
  if (job !== null) return { chain: job.tenant, target: { purpose: job.purpose, jobId: job.jobId } };
  if (store !== undefined || restoreId !== undefined) return ofRestore(deps, store, restoreId);
  return tenant === undefined ? null : ofKey(deps, tenant, asked);
}

async function ofRequest(
  { ledger, config }: RefusalDeps,
  requestId: string,
  approver = '',
): Promise<Target | null> {
  const request = await ledger.getApprovalRequest(requestId);
  if (request === null) return null;
  const known = Object.hasOwn(config.approvals.approvers, approver);
  return { chain: request.tenant, target: { requestId, ...(known && { approver }) } };
}

async function ofRestore(
  { ledger, config }: RefusalDeps,
  store: string | undefined,
  restoreId: string | undefined,
): Promise<Target> {
  const restore = restoreId === undefined ? null : await ledger.getRestore(restoreId);
  const named = store !== undefined && Object.hasOwn(config.stores, store);
  const target = { ...(named && { store }), ...(restore !== null && { restoreId: restore.restoreId }) };
  return { chain: SERVICE, target };
}

async function ofKey(
  { ledger, audit, config }: RefusalDeps,
  tenant: string,
  { recordSet = '', version = 0, holdId, ...asked }: AskedFor,
): Promise<Target | null> {
  const set = Object.hasOwn(config.recordSets, recordSet) ? config.recordSets[recordSet] : undefined;
  const purpose = set?.purpose ?? asked.purpose ?? '';
  const key = await ledger.getKey(tenant, purpose);
  if (key === null) {
    // Of a tenant that has other keys, or none at all.
    return tenant !== SERVICE && (await audit.lastAuditEntry(tenant)) !== null
      ? { chain: tenant, target: {} }
      : null;
  }
  const hold = key.holds.find((each) => each.holdId === holdId);
  return {
    chain: tenant,
    target: {
      purpose,
      ...(set !== undefined && { recordSet }),
      ...(Object.hasOwn(key.versions, String(version)) && { version }),
      ...(hold !== undefined && { holdId: hold.holdId }),
    },
  };
}
