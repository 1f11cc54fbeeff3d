import type { Timestamp } from '../keyring/key.ts';

/** What people must agree to before something is destroyed, and their word for it. */

export const APPROVAL_ACTIONS = [
  /** Destroy a version by policy: its purge. */
  'purge',
  /** Release a hold before its end. */
  'release-hold',
  /** Put a tombstone in the place of a value that cannot be brought to the active version. */
  'give-up',
] as const;
export type ApprovalAction = (typeof APPROVAL_ACTIONS)[number];

/** What an approval is bound to: anything in it that changes makes another request, and voids the approvals of this one. */
export interface ApprovalBinding {
  readonly action: ApprovalAction;
  readonly tenant: string;
  readonly purpose: string;
  readonly keyId: string;
  /** 0 where no single version is meant. */
  readonly version: number;
  readonly restoreEpoch: number;
  /** What exactly is approved: SHA-256, base64url, of the canonical JSON (RFC 8785) of the census, hold or record. */
  readonly subject: string;
  readonly expiresAt: Timestamp;
  readonly requestedBy: string;
}

/** One item of the ledger, create-only. `requestId` is the SHA-256, base64url, of the binding's canonical JSON. */
export interface ApprovalRequest extends ApprovalBinding {
  readonly requestId: string;
  readonly requestedAt: Timestamp;
  /** For people: what will happen. Never a value. */
  readonly summary: string;
  /** What `subject` is the digest of: the census, the hold, the record. Ids, counts and times; never a value. */
  readonly evidence: object;
}

/** One item of the ledger, create-only: what is void stays void, also when a clock jumps back or a setting does. */
export interface ApprovalVoid {
  readonly requestId: string;
  readonly at: Timestamp;
  /** For people. */
  readonly why: string;
}

/** One item of the ledger, create-only on (request, approver). */
export interface Approval {
  readonly requestId: string;
  /** By the name in the configuration. */
  readonly approver: string;
  readonly breakGlass: boolean;
  readonly at: Timestamp;
  /** Compact JWS, `typ` keyturn-approval+jws, over the binding and `requestId`, `approver`, `breakGlass` and `at`. */
  readonly jws: string;
}
