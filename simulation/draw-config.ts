import { CONFIGURED_APPROVERS } from './actors/approvers.ts';
import type { Dice } from './dice.ts';
import type { FaultKind } from './faults.ts';

/** The configuration of a seed. Times are scaled down: what lasts weeks in a service lasts hours here. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;

export interface DrawnConfig {
  /** Input of the configuration's schema. */
  readonly config: object;
  readonly purposes: readonly string[];
  readonly stores: readonly string[];
  /** Seconds. */
  readonly graceSeconds: number;
  readonly soakSeconds: number;
  /** Of approvals; null: none are required. */
  readonly expirySeconds: number | null;
}

export function drawConfig(dice: Dice, faults: ReadonlySet<FaultKind>, short: boolean): DrawnConfig {
  const purposes = !short && dice.chance(0.4) ? ['default', 'notes'] : ['default'];
  const stores = !short && dice.chance(0.4) ? ['main', 'docs'] : ['main'];
  const rotation = drawRotation(dice, short);
  const approvals = drawApprovals(dice, faults);
  const recordSets = {
    people: recordSet('people', 'main', 'default', ['email', 'phone']),
    notes: recordSet('notes', 'main', purposes.at(-1) ?? 'default', ['text']),
    ...(stores.length > 1 && { files: recordSet('files', 'docs', 'default', ['title', 'body']) }),
  };
  const config = {
    provider: { type: 'local', keystore: 'k', keyFile: 'f' },
    stores: Object.fromEntries(stores.map((store) => [store, { type: 'postgres', urlFrom: 'URL' }])),
    recordSets,
    rotation,
    approvals,
  };
  const { graceSeconds, soakSeconds } = rotation;
  const expirySeconds = approvals.expirySeconds ?? null;
  return { config, purposes, stores, graceSeconds, soakSeconds, expirySeconds };
}

function drawRotation(dice: Dice, short: boolean) {
  const cacheMaxAgeSeconds = dice.between(60, 600);
  const backupRetentionSeconds = short
    ? dice.between(10 * MINUTE, 40 * MINUTE)
    : dice.between(30 * MINUTE, 2 * HOUR);
  const grace = short ? 40 * MINUTE : 100 * MINUTE;
  return {
    everyDays: dice.chance(0.4) ? 1 : null,
    spreadDays: 0,
    mode: dice.pick(['rewrap', 're-encrypt']),
    chunkSize: dice.pick([1, 2, 3, 4, 4]),
    segments: short ? 1 : dice.pick([1, 1, 2, 3]),
    maxRounds: dice.chance(0.1) ? 1 : dice.pick([2, 3, 3, 4, 5]),
    cacheMaxAgeSeconds,
    cacheCeilingSeconds: cacheMaxAgeSeconds * dice.between(1, 6),
    ...(dice.chance(0.2) && { cacheMaxUses: dice.between(1, 10) }),
    clockSkewSeconds: dice.between(0, 60),
    maxTransactionSeconds: dice.between(30, 60),
    backupRetentionSeconds,
    graceSeconds: Math.max(grace, backupRetentionSeconds + dice.between(0, grace)),
    soakSeconds: dice.chance(0.25) ? 0 : dice.between(5 * MINUTE, short ? 12 * MINUTE : 25 * MINUTE),
    recordsPerSecond: dice.chance(0.25) ? dice.between(1, 3) : null,
    acceptShortGrace: true,
    stallSeconds: dice.between(MINUTE, 4 * MINUTE),
  };
}

interface DrawnApprovals {
  readonly required: number;
  readonly acceptNoApprovals?: boolean;
  readonly expirySeconds?: number;
  readonly approvers?: typeof CONFIGURED_APPROVERS;
}

function drawApprovals(dice: Dice, faults: ReadonlySet<FaultKind>): DrawnApprovals {
  const needed = faults.has('approval-raced') || faults.has('self-approval');
  if (!needed && dice.chance(0.5)) return { required: 0, acceptNoApprovals: true };
  return {
    required: dice.between(1, 2),
    // Some are too short for whoever looks in every hour or so.
    expirySeconds: dice.chance(0.3) ? dice.between(10 * MINUTE, HOUR) : dice.between(2 * HOUR, 12 * HOUR),
    approvers: CONFIGURED_APPROVERS,
  };
}

function recordSet(table: string, store: string, purpose: string, fields: readonly string[]) {
  return {
    store,
    table,
    key: ['id'],
    tenant: { column: 'tenant' },
    purpose,
    fields: fields.map((name) => ({ name, column: name })),
  };
}
