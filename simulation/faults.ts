import { type Dice, numberOf } from './dice.ts';

/**
 * Every kind of fault, and how likely each opportunity for it is taken while the kind is switched on. The list is that of
 * docs/protocol.md. An opportunity is asked for where the fault would happen: `faults.fires('queue-duplicate', where)`.
 */
export const FAULT_RATES = {
  // Processes
  'kill-before-call': 0.01,
  'kill-after-call': 0.01,
  'function-timeout': 0.01,
  /** Frozen before one of its calls, given up by its caller, and gone on with hours later. */
  zombie: 0.0015,
  /** An application that stands still, with what it has cached. */
  'frozen-application': 0.01,
  /** A process of the next release, while that is deployed beside this one (releases/). */
  'mixed-code': 0.5,
  // Queue
  'queue-duplicate': 0.2,
  'queue-reorder': 0.3,
  /** The message becomes visible again while it is still being worked on. */
  'queue-visibility-expiry': 0.1,
  'queue-delete-fails': 0.1,
  /** Lost for good, as after 14 days. */
  'queue-retention-expiry': 0.05,
  /** Dead letters are sent back, also long after the job's end. */
  'queue-redrive': 0.3,
  'queue-unavailable': 0.05,
  // State machines
  'step-twice': 0.05,
  /** The step succeeded, and its answer was lost: it is retried. */
  'step-answer-lost': 0.05,
  'execution-aborted': 0.01,
  'executions-unavailable': 0.1,
  // Record stores
  'store-reply-lost': 0.05,
  'store-throttled': 0.05,
  'store-unavailable': 0.05,
  'serialization-failure': 0.1,
  /** A listing from an index that stopped, or a replica that lags. */
  'index-frozen': 0.2,
  // Ledger
  'ledger-reply-lost': 0.02,
  'ledger-throttled': 0.02,
  /** Lists that are allowed to lag do. */
  'ledger-stale-list': 0.2,
  // Root keys
  'kms-latency': 0.1,
  'kms-error': 0.05,
  'kms-throttled': 0.05,
  'kms-one-version-fails': 0.3,
  // Events
  'event-lost': 0.3,
  'event-late': 0.3,
  'event-doubled': 0.3,
  'event-forged': 0.3,
  'schedule-lost': 0.2,
  'schedule-doubled': 0.2,
  // Clocks
  'clock-skew': 0.5,
  'clock-jump-back': 0.02,
  'clock-frozen': 0.02,
  // Actions, which an actor takes; their rate is how likely a plan has one.
  'root-key-disabled': 1,
  'root-key-deletion-pending': 1,
  'grant-revoked': 1,
  'material-expired': 1,
  restore: 1,
  'bit-flipped': 1,
  truncated: 1,
  swapped: 1,
  'unknown-version': 1,
  'unknown-algorithm': 1,
  'approval-raced': 1,
  'self-approval': 1,
} as const satisfies Record<string, number>;

export type FaultKind = keyof typeof FAULT_RATES;
export const FAULT_KINDS = Object.keys(FAULT_RATES) as readonly FaultKind[];

export interface Faults {
  /** Whether the fault happens at this opportunity. If it does it is counted, and part of the history. */
  fires(kind: FaultKind, where: string): boolean;
  /** For chances that a fault which fired needs: how long, which one. */
  readonly dice: Dice;
  /** How often each fired. */
  readonly fired: ReadonlyMap<FaultKind, number>;
  /** From now on none fires. */
  stop(): void;
  /** What a fault left behind, such as an index that stands still, goes on from then on. */
  readonly stopped: boolean;
}

export interface FaultPlan {
  readonly seed: number;
  /** Those that are switched on. */
  readonly kinds: ReadonlySet<FaultKind>;
  /** Of a kind, only its n-th firings of these (from 0) take place: for shrinking. Absent: all. */
  readonly only?: ReadonlyMap<FaultKind, ReadonlySet<number>>;
}

export function createFaults(
  { seed, kinds, only }: FaultPlan,
  dice: Dice,
  onFired: (kind: FaultKind, where: string) => void,
): Faults {
  const fired = new Map<FaultKind, number>();
  const opportunities = new Map<FaultKind, number>();
  /** Firings by the dice, whether or not `only` lets them through: so they keep their numbers. */
  const drawn = new Map<FaultKind, number>();
  let stopped = false;
  return {
    dice,
    fired,
    stop: () => {
      stopped = true;
    },
    get stopped() {
      return stopped;
    },
    fires(kind, where) {
      if (stopped || !kinds.has(kind)) return false;
      const opportunity = next(opportunities, kind);
      // Not from a stream: what fires does not depend on what else happened.
      const draw = (numberOf(seed, `${kind}/${opportunity}`) >>> 0) / 2 ** 32;
      if (draw >= FAULT_RATES[kind]) return false;
      const firing = next(drawn, kind);
      if (only?.get(kind)?.has(firing) === false) return false;
      next(fired, kind);
      onFired(kind, where);
      return true;
    },
  };
}

/** Counts; returns the count before. */
function next(counts: Map<FaultKind, number>, kind: FaultKind): number {
  const count = counts.get(kind) ?? 0;
  counts.set(kind, count + 1);
  return count;
}
