/**
 * The states of a key version and every allowed transition. NIST SP 800-57 Part 1 Rev. 5, section 7, has the
 * life cycle; ARCHITECTURE.md says who makes each step.
 */

export const VERSION_STATES = [
  'PRE_ACTIVE',
  'ACTIVE',
  'RETIRING',
  'SUSPENDED',
  'DESTROY_PENDING',
  'COMPROMISED',
  'DESTROYED',
] as const;

export type VersionState = (typeof VERSION_STATES)[number];

interface StateRules {
  /** May a new envelope be sealed under it? */
  readonly encrypt: boolean;
  /** `alarm`: an attempt is served, alarms and cancels the purge. `rewrap-only`: only the rewrap worker may. */
  readonly decrypt: 'yes' | 'no' | 'self-test' | 'alarm' | 'rewrap-only';
  readonly next: readonly VersionState[];
}

export const STATE_RULES = {
  PRE_ACTIVE: { encrypt: false, decrypt: 'self-test', next: ['ACTIVE', 'DESTROYED', 'COMPROMISED'] },
  ACTIVE: { encrypt: true, decrypt: 'yes', next: ['RETIRING', 'SUSPENDED', 'COMPROMISED'] },
  /** Back to ACTIVE only by a rollback before the purge, which is an activation of its own. */
  RETIRING: {
    encrypt: false,
    decrypt: 'yes',
    next: ['ACTIVE', 'DESTROY_PENDING', 'SUSPENDED', 'COMPROMISED'],
  },
  /** Goes back to the state it had before, or to COMPROMISED. */
  SUSPENDED: { encrypt: false, decrypt: 'no', next: ['ACTIVE', 'RETIRING', 'COMPROMISED'] },
  DESTROY_PENDING: { encrypt: false, decrypt: 'alarm', next: ['RETIRING', 'DESTROYED', 'COMPROMISED'] },
  COMPROMISED: { encrypt: false, decrypt: 'rewrap-only', next: ['DESTROY_PENDING'] },
  DESTROYED: { encrypt: false, decrypt: 'no', next: [] },
} as const satisfies Record<VersionState, StateRules>;

export function mayBecome(from: VersionState, to: VersionState): boolean {
  const next: readonly VersionState[] = STATE_RULES[from].next;
  return next.includes(to);
}
