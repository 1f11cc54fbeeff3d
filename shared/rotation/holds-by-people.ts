import { isDeepStrictEqual } from 'node:util';
import { type ApprovalOutcome, requireApproval } from '../approvals/request-approval.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import { holdOf, placeHold, releaseHold } from '../keyring/holds.ts';
import type { Hold, TenantKey, Timestamp } from '../keyring/key.ts';
import { changeKey, getKey, timestamp } from './change.ts';
import { prunedHolds } from './holds.ts';

/** Holds that people place, for a lawsuit or an audit, and the release of holds before their end. */

export interface PlaceRequest {
  readonly tenant: string;
  readonly purpose: string;
  readonly version: number;
  /** Why; 1 to 300 characters. It goes to the audit and to approvers, so no personal data belongs in it. */
  readonly note: string;
  /** null: until it is released. */
  readonly until: Timestamp | null;
  readonly by: string;
}

export interface PlacedHold {
  readonly hold: Hold;
  /** The version waited for its destruction, and does not any more. */
  readonly purgeCalledOff: boolean;
}

/** In characters: up to 4 bytes each. */
export const NOTE_LIMIT = 300;

/** Throws VERSION_DESTROYED, or VERSION_STATE once the version's destruction is decided. */
export async function holdVersion(deps: Deps, request: PlaceRequest): Promise<PlacedHold> {
  const { tenant, purpose, version, until, by } = request;
  const now = deps.clock.now();
  if (until !== null && Date.parse(until) <= now) {
    throw new KeyError('HOLD_REFUSED', `The end of the hold, ${until}, is not in the future`);
  }
  const hold: Hold = {
    holdId: deps.newId(),
    versions: [version],
    reason: 'PERSON',
    store: null,
    note: checkNote(request.note),
    by,
    at: timestamp(now),
    until,
    endedEpoch: null,
  };
  let purgeCalledOff = false;
  await changeKey(deps, tenant, purpose, (current) => {
    purgeCalledOff = versionOf(current, version).state === 'DESTROY_PENDING';
    return placeHold({ ...current, holds: prunedHolds(current) }, hold);
  });
  return { hold, purgeCalledOff };
}

export interface ReleaseRequest {
  readonly tenant: string;
  readonly purpose: string;
  readonly holdId: string;
  readonly requestedBy: string;
}

export interface ReleaseAnswer {
  readonly hold: Hold;
  /** Not approved: the hold stands, and people have to agree first. */
  readonly outcome: ApprovalOutcome;
}

/**
 * Releases a hold once people agree: of a person, or of backups that are deleted already. Throws HOLD_NOT_FOUND, also
 * when it was released before, and HOLD_REFUSED for the hold of a restore.
 */
export async function requestRelease(deps: Deps, request: ReleaseRequest): Promise<ReleaseAnswer> {
  const { tenant, purpose, holdId, requestedBy } = request;
  const key = await getKey(deps, tenant, purpose);
  const hold = holdOf(key, holdId);
  // Asks nobody about one that is not released like that.
  releaseHold(key, holdId);
  const outcome = await requireApproval(deps, {
    action: 'release-hold',
    ...{ tenant, purpose, requestedBy },
    keyId: key.keyId,
    version: hold.versions.length === 1 ? (hold.versions[0] ?? 0) : 0,
    restoreEpoch: key.restoreEpoch,
    evidence: hold,
    summary: `Release hold ${holdId} (${hold.reason}) on version ${hold.versions.join(', ')}: it may be destroyed then`,
  });
  if (outcome.approved) await changeKey(deps, tenant, purpose, (current) => release(current, key, hold));
  return { hold, outcome };
}

/** Only the very hold that was approved, in the epoch that it was approved in. */
function release(current: TenantKey, approved: TenantKey, hold: Hold): TenantKey {
  const same =
    current.restoreEpoch === approved.restoreEpoch && isDeepStrictEqual(holdOf(current, hold.holdId), hold);
  if (same) return releaseHold(current, hold.holdId);
  throw new KeyError(
    'HOLD_REFUSED',
    `Hold ${hold.holdId} changed, or a store was restored, since it was asked for`,
    {
      remedy: 'Ask for its release again.',
    },
  );
}

function checkNote(note: string): string {
  const text = note.trim();
  const length = [...text].length;
  if (length >= 1 && length <= NOTE_LIMIT && !/\p{Cc}/u.test(text) && text.isWellFormed()) return text;
  throw new KeyError('HOLD_REFUSED', `The reason has ${length} characters, or some that cannot be printed`, {
    remedy: `Write 1 to ${NOTE_LIMIT} characters on one line.`,
  });
}
