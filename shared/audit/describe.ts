import { hash } from 'node:crypto';
import type { Hold, KeyVersion, TenantKey } from '../keyring/key.ts';
import type { Restore } from '../rotation/restore.ts';
import type { Job } from '../rotation/rotation.ts';
import { digestOf } from '../signing/canonical-json.ts';
import type { AuditValue } from './entry.ts';

/** What a change of a key or job is called in the chain, and what is said of it. Never a wrapped KEK, a check or a value. */

export interface Description {
  readonly type: string;
  readonly detail: Readonly<Record<string, AuditValue>>;
}

export function keyEventId({ keyId, revision }: Pick<TenantKey, 'keyId' | 'revision'>): string {
  return `key/${keyId}/${revision}`;
}

export function jobEventId({ jobId, revision }: Pick<Job, 'jobId' | 'revision'>): string {
  return `job/${jobId}/${revision}`;
}

export function restoreEventId({ restoreId, revision }: Pick<Restore, 'restoreId' | 'revision'>): string {
  return `restore/${restoreId}/${revision}`;
}

/** `before` is null for a new key. */
export function describeKeyChange(before: TenantKey | null, after: TenantKey): Description {
  const versions = Object.values(after.versions).map((version) => ({
    version,
    was: before?.versions[String(version.version)] ?? null,
  }));
  const changed = versions.flatMap(({ version, was }) => versionChanges(was, version));
  const holds = before === null ? [] : holdChanges(before, after);
  const others = before === null ? [] : keyChanges(before, after);
  // Several things may change in one write; it is called after the weightiest of them.
  const found = [...changed, ...holds, ...others].toSorted((a, b) => weight(a.type) - weight(b.type));
  const [first] = found;
  const { keyId, purpose, revision, active, rotationId, restoreEpoch } = after;
  return {
    type: before === null ? 'key.created' : (first?.type ?? 'key.changed'),
    detail: {
      keyId,
      purpose,
      revision,
      active,
      rotationId,
      restoreEpoch,
      state: stateDigest(after),
      changes: found.map(({ says }) => says).slice(0, MOST_CHANGES),
    },
  };
}

/**
 * SHA-256, base64url, of what decides on the versions: so that it cannot be otherwise in the ledger than in the chain without
 * being found. Its parts are fixed: with one more it is to be called otherwise, for the sake of the entries there are.
 */
function stateDigest({ activations, versions, holds }: TenantKey): string {
  const ofVersions = Object.values(versions).map((version) => [
    ...[version.version, version.state, version.createdAt, version.provedAt, version.activatedAt],
    ...[version.retiringAt, version.retiredBy, version.purgeNotBefore, version.destroyPendingAt],
    ...[version.destroyAuthorizedAt, version.approvedBy, version.destroyedAt],
    ...[version.suspended?.reason ?? null, version.seen?.at ?? null, version.seen?.cleanAt ?? null],
  ]);
  const ofHolds = holds.map((hold) => [
    ...[hold.holdId, hold.reason, hold.store, hold.by, hold.at, hold.until, hold.endedEpoch],
    ...hold.versions,
  ]);
  return hash('sha256', JSON.stringify([activations, ofVersions, ofHolds]), 'base64url');
}

/** A key serves many tables and has many versions; an entry stays small. */
export const MOST_CHANGES = 50;

interface Change {
  readonly type: KeyEventType;
  readonly says: string;
}

/** By weight. */
const KEY_EVENTS = [
  'key.version.destroyed',
  'key.version.destroy-authorized',
  'key.version.compromised',
  'key.version.destroy-pending',
  'key.version.purge-called-off',
  'key.version.activated',
  'key.version.suspended',
  'key.version.resumed',
  'key.version.created',
  'key.version.proved',
  'key.version.rewrapped',
  'key.version.retired',
  'key.version.changed',
  'key.restore-registered',
  'key.hold.placed',
  'key.hold.released',
  'key.hold.changed',
  'key.used-while-pending',
  'key.locked',
  'key.unlocked',
  'key.serves',
  'key.changed',
] as const;
type KeyEventType = (typeof KEY_EVENTS)[number];

function weight(type: KeyEventType): number {
  return KEY_EVENTS.indexOf(type);
}

function versionChanges(was: KeyVersion | null, is: KeyVersion): Change[] {
  // Most versions stay the very ones that were read.
  if (was === is) return [];
  const name = `version ${is.version}`;
  if (was === null) return [{ type: 'key.version.created', says: `${name} ${is.state}` }];
  const changes: Change[] = [];
  if (was.state !== is.state) {
    changes.push({ type: stateChange(was, is), says: `${name} ${was.state} -> ${is.state}` });
  }
  if (was.provedAt === null && is.provedAt !== null) {
    changes.push({ type: 'key.version.proved', says: `${name} proved` });
  }
  if (!sameWrapping(was, is) && is.state !== 'DESTROYED') {
    const root = is.wrapped?.rootKeyId ?? 'none';
    changes.push({ type: 'key.version.rewrapped', says: `${name} wrapped anew under ${root}` });
  }
  if (was.destroyAuthorizedAt === null && is.destroyAuthorizedAt !== null) {
    const by = is.approvedBy === null ? '' : ` by ${is.approvedBy}`;
    changes.push({ type: 'key.version.destroy-authorized', says: `${name} destruction authorized${by}` });
  }
  if (was.retiredBy !== is.retiredBy && is.retiredBy !== null) {
    const says = `${name} retired by ${is.retiredBy}, no purge before ${is.purgeNotBefore ?? 'never'}`;
    changes.push({ type: 'key.version.retired', says });
  }
  if (changes.length === 0 && digestOf(plain(was)) !== digestOf(plain(is))) {
    changes.push({ type: 'key.version.changed', says: `${name} changed` });
  }
  return changes;
}

function stateChange(was: KeyVersion, is: KeyVersion): KeyEventType {
  switch (is.state) {
    case 'ACTIVE':
      return was.state === 'SUSPENDED' ? 'key.version.resumed' : 'key.version.activated';
    case 'RETIRING':
      if (was.state === 'SUSPENDED') return 'key.version.resumed';
      return was.state === 'DESTROY_PENDING' ? 'key.version.purge-called-off' : 'key.version.changed';
    case 'PRE_ACTIVE':
      return 'key.version.resumed';
    case 'SUSPENDED':
      return 'key.version.suspended';
    case 'DESTROY_PENDING':
      return 'key.version.destroy-pending';
    case 'DESTROYED':
      return 'key.version.destroyed';
    case 'COMPROMISED':
      return 'key.version.compromised';
    default:
      return is.state satisfies never;
  }
}

function sameWrapping(was: KeyVersion, is: KeyVersion): boolean {
  if (was.wrapped === is.wrapped && was.formerWrapped === is.formerWrapped) return true;
  return digestOf(wrappings(was)) === digestOf(wrappings(is));
}

/** Compared, never told. */
function wrappings({ wrapped, formerWrapped }: KeyVersion): object {
  return [wrapped, formerWrapped].map((one) =>
    one === null ? null : { ...one, wrapped: Buffer.from(one.wrapped).toString('base64url') },
  );
}

function plain(version: KeyVersion): object {
  return { ...version, wrapped: null, formerWrapped: null };
}

function holdChanges(before: TenantKey, after: TenantKey): Change[] {
  if (before.holds === after.holds) return [];
  const was = new Map(before.holds.map((hold) => [hold.holdId, hold]));
  const is = new Set(after.holds.map(({ holdId }) => holdId));
  const placed = after.holds.filter(({ holdId }) => !was.has(holdId));
  const released = before.holds.filter(({ holdId }) => !is.has(holdId));
  const changed = after.holds.filter((hold) => {
    const old = was.get(hold.holdId);
    return old !== undefined && old !== hold && digestOf(old) !== digestOf(hold);
  });
  return [
    ...placed.map((hold): Change => ({ type: 'key.hold.placed', says: `hold ${holdText(hold)} placed` })),
    ...released.map(
      (hold): Change => ({ type: 'key.hold.released', says: `hold ${holdText(hold)} released` }),
    ),
    ...changed.map((hold): Change => ({ type: 'key.hold.changed', says: `hold ${holdText(hold)}` })),
  ];
}

/** Its note is free text of a person: not told. */
function holdText({ holdId, reason, versions, until }: Hold): string {
  return `${holdId} (${reason}) on ${versions.join(', ')} until ${until ?? 'released'}`;
}

function keyChanges(before: TenantKey, after: TenantKey): Change[] {
  const changes: Change[] = [];
  if (before.restoreEpoch !== after.restoreEpoch) {
    const says = `restore epoch ${before.restoreEpoch} -> ${after.restoreEpoch}`;
    changes.push({ type: 'key.restore-registered', says });
  }
  if (before.rotationId !== after.rotationId) {
    changes.push(
      after.rotationId === null
        ? { type: 'key.unlocked', says: `lock of ${before.rotationId ?? 'nobody'} released` }
        : { type: 'key.locked', says: `locked by ${after.rotationId}` },
    );
  }
  if (before.canary !== null && after.canary === null) {
    const says = `use of version ${before.canary.version} at ${before.canary.at} settled`;
    changes.push({ type: 'key.used-while-pending', says });
  }
  if (before.serves.length !== after.serves.length) {
    const known = new Set(before.serves.map(({ store, table }) => `${store}/${table}`));
    const tables = after.serves.map(({ store, table }) => `${store}/${table}`).filter((t) => !known.has(t));
    changes.push({ type: 'key.serves', says: `serves ${tables.join(', ') || 'other columns'}` });
  }
  return changes;
}

/** `before` is null for a new job. */
export function describeJobChange(before: Job | null, after: Job): Description {
  const { jobId, kind, goal, purpose, keyId, from, to, revision, status, attempt, round } = after;
  const { blocker, pause, census, requestedBy, cancelled, approvalId, recordsPerSecond } = after;
  return {
    type: jobEventType(before, after),
    detail: {
      ...{ jobId, kind, goal, purpose, keyId, from, to, revision, status, attempt, round },
      ...(before === null && { requestedBy, recordSets: after.recordSets.slice(0, MOST_CHANGES) }),
      ...(recordsPerSecond !== null && { recordsPerSecond }),
      ...(blocker !== null && { blocker: blocker.code }),
      ...(pause !== null && { pause: pause.reason, rootKeyId: pause.rootKeyId }),
      ...(cancelled !== null && { cancelledBy: cancelled.by }),
      ...(approvalId !== null && { approvalId }),
      ...(census !== null && {
        censusAt: census.takenAt,
        onVersion: census.onVersion,
        stale: census.stale,
        malformed: census.malformed,
      }),
    },
  };
}

function jobEventType(before: Job | null, after: Job): string {
  if (before === null) return 'job.requested';
  if (before.status !== after.status) {
    return after.status === 'REQUESTED' ? 'job.resumed' : `job.${after.status.toLowerCase()}`;
  }
  if (before.attempt !== after.attempt) return 'job.resumed';
  if (before.recordsPerSecond !== after.recordsPerSecond) return 'job.rate-changed';
  if (before.round !== after.round) return 'job.round-begun';
  if (before.approvalId !== after.approvalId) return 'job.approval-asked';
  return 'job.changed';
}
