import {
  listOf,
  numberOf,
  numbersOf,
  type Parts,
  partsOf,
  textOf,
  textOrNull,
  textsOf,
  timeOf,
} from './parts.ts';

/** The items of the ledger, as far as the rules look at them. Times are as they stand in the item: by the clock of whoever wrote it. */

export interface Key {
  readonly keyId: string;
  readonly tenant: string;
  readonly purpose: string;
  readonly active: number;
  readonly revision: number;
  readonly rotationId: string | null;
  readonly restoreEpoch: number;
  readonly activations: number;
  readonly holds: readonly Hold[];
  readonly versions: ReadonlyMap<number, Version>;
  /** As it was committed. */
  readonly whole: Parts;
}

export interface Hold {
  readonly holdId: string;
  readonly versions: readonly number[];
  readonly reason: string;
  readonly until: string | null;
  /** Of a restore that has ended: the epoch from which on a sweep frees it. */
  readonly endedEpoch: number | null;
}

export interface Version {
  readonly version: number;
  readonly state: string;
  /** Of what wraps it; null: it is erased. */
  readonly rootKeyId: string | null;
  readonly check: string | null;
  readonly createdAt: string;
  readonly provedAt: string | null;
  readonly purgeNotBefore: string | null;
  readonly destroyPendingAt: string | null;
  readonly destroyAuthorizedAt: string | null;
  readonly approvedBy: string | null;
  readonly required: number | null;
  readonly approvers: readonly string[];
}

export interface Job {
  readonly jobId: string;
  readonly kind: string;
  readonly goal: string;
  readonly mode: string;
  readonly tenant: string;
  readonly keyId: string;
  readonly from: number;
  readonly to: number;
  readonly status: string;
  readonly attempt: number;
  readonly blocker: string | null;
  readonly pause: string | null;
  readonly restoreEpoch: number;
  readonly revision: number;
  readonly whole: Parts;
}

export interface Restore {
  readonly restoreId: string;
  readonly store: string;
  readonly status: string;
  readonly revision: number;
  readonly whole: Parts;
}

export interface Quarantined {
  readonly keyId: string;
  readonly tenant: string;
  readonly recordSet: string;
  readonly recordId: readonly string[];
  readonly field: string;
  readonly code: string;
  readonly version: number | null;
}

export interface Request {
  readonly requestId: string;
  readonly action: string;
  readonly tenant: string;
  readonly keyId: string;
  readonly version: number;
  readonly restoreEpoch: number;
  readonly subject: string;
  readonly expiresAt: number;
  readonly requestedBy: string;
  readonly evidence: Parts;
  readonly whole: Parts;
}

export interface Approval {
  readonly requestId: string;
  readonly approver: string;
  readonly at: number;
}

/** What a key keeps of an unchanged version is the same object: it is read once. */
const versionsRead = new WeakMap<object, Version>();

export function readKey(value: unknown): Key {
  const whole = partsOf(value);
  const versions = Object.values(partsOf(whole['versions'])).map(readVersion);
  return {
    keyId: textOf(whole['keyId']),
    tenant: textOf(whole['tenant']),
    purpose: textOf(whole['purpose']),
    active: numberOf(whole['active']),
    revision: numberOf(whole['revision']),
    rotationId: textOrNull(whole['rotationId']),
    restoreEpoch: numberOf(whole['restoreEpoch']),
    activations: numberOf(whole['activations']),
    holds: listOf(whole['holds']).map(readHold),
    versions: new Map(versions.map((version) => [version.version, version])),
    whole,
  };
}

function readVersion(value: unknown): Version {
  const parts = partsOf(value);
  const known = versionsRead.get(parts);
  if (known !== undefined) return known;
  const agreement = partsOf(parts['agreement']);
  const version: Version = {
    version: numberOf(parts['version']),
    state: textOf(parts['state']),
    rootKeyId: textOrNull(partsOf(parts['wrapped'])['rootKeyId']),
    check: textOrNull(parts['check']),
    createdAt: textOf(parts['createdAt']),
    provedAt: textOrNull(parts['provedAt']),
    purgeNotBefore: textOrNull(parts['purgeNotBefore']),
    destroyPendingAt: textOrNull(parts['destroyPendingAt']),
    destroyAuthorizedAt: textOrNull(parts['destroyAuthorizedAt']),
    approvedBy: textOrNull(parts['approvedBy']),
    required: parts['agreement'] === null ? null : numberOf(agreement['required']),
    approvers: textsOf(agreement['approvers']),
  };
  versionsRead.set(parts, version);
  return version;
}

function readHold(value: unknown): Hold {
  const parts = partsOf(value);
  return {
    holdId: textOf(parts['holdId']),
    versions: numbersOf(parts['versions']),
    reason: textOf(parts['reason']),
    until: textOrNull(parts['until']),
    endedEpoch: parts['endedEpoch'] === null ? null : numberOf(parts['endedEpoch']),
  };
}

export function isGone({ state, rootKeyId }: Version): boolean {
  return state === 'DESTROYED' || rootKeyId === null;
}

export function readJob(value: unknown): Job {
  const whole = partsOf(value);
  return {
    jobId: textOf(whole['jobId']),
    kind: textOf(whole['kind']),
    goal: textOf(whole['goal']),
    mode: textOf(whole['mode']),
    tenant: textOf(whole['tenant']),
    keyId: textOf(whole['keyId']),
    from: numberOf(whole['from']),
    to: numberOf(whole['to']),
    status: textOf(whole['status']),
    attempt: numberOf(whole['attempt']),
    blocker: textOrNull(partsOf(whole['blocker'])['code']),
    pause: textOrNull(partsOf(whole['pause'])['reason']),
    restoreEpoch: numberOf(whole['restoreEpoch']),
    revision: numberOf(whole['revision']),
    whole,
  };
}

export function readRestore(value: unknown): Restore {
  const whole = partsOf(value);
  return {
    restoreId: textOf(whole['restoreId']),
    store: textOf(whole['store']),
    status: textOf(whole['status']),
    revision: numberOf(whole['revision']),
    whole,
  };
}

export function readQuarantined(value: unknown): Quarantined {
  const parts = partsOf(value);
  const version = parts['version'];
  return {
    keyId: textOf(parts['keyId']),
    tenant: textOf(parts['tenant']),
    recordSet: textOf(parts['recordSet']),
    recordId: textsOf(parts['recordId']),
    field: textOf(parts['field']),
    code: textOf(parts['code']),
    version: version === null ? null : numberOf(version),
  };
}

export function readRequest(value: unknown): Request {
  const whole = partsOf(value);
  return {
    requestId: textOf(whole['requestId']),
    action: textOf(whole['action']),
    tenant: textOf(whole['tenant']),
    keyId: textOf(whole['keyId']),
    version: numberOf(whole['version']),
    restoreEpoch: numberOf(whole['restoreEpoch']),
    subject: textOf(whole['subject']),
    expiresAt: timeOf(whole['expiresAt']),
    requestedBy: textOf(whole['requestedBy']),
    evidence: partsOf(whole['evidence']),
    whole,
  };
}

export function readApproval(value: unknown): Approval {
  const parts = partsOf(value);
  return {
    requestId: textOf(parts['requestId']),
    approver: textOf(parts['approver']),
    at: timeOf(parts['at']),
  };
}
