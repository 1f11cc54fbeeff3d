import { createHash } from 'node:crypto';
import { digestOf } from '../canonical.ts';
import { parseTombstone } from '../envelope.ts';
import type { Approval, Hold, Key, Request, Version } from '../items.ts';
import { numberOf, partsOf, timeOf } from '../parts.ts';
import type { Value } from '../records.ts';
import type { MakeRule } from '../rule.ts';
import { nameOf } from './values.ts';

/** What is destroyed, released or given up was agreed to by enough distinct people, none of whom asked for it, in time, once. */
export const approvals: MakeRule = (book, find) => {
  const used = new Set<string>();

  /** null: it is approved. */
  function whyNot(request: Request, action: string): string | null {
    const { tenant, keyId, version, restoreEpoch, subject, requestedBy, whole } = request;
    const { purpose, expiresAt } = whole;
    const binding = {
      action,
      tenant,
      purpose,
      keyId,
      version,
      restoreEpoch,
      subject,
      expiresAt,
      requestedBy,
    };
    if (request.action !== action) return `is of a ${request.action}`;
    if (digestOf(binding) !== request.requestId) return 'is not what its id says';
    if (digestOf(request.evidence) !== subject) return 'has other evidence than was agreed to';
    const asked = requestedBy.split(',').map(personOf);
    const given: readonly Approval[] = book.approvals.get(request.requestId) ?? [];
    const people = new Set(
      given
        .filter(({ at }) => at < request.expiresAt)
        .map(({ approver }) => personOf(approver))
        .filter((person) => !asked.includes(person)),
    );
    const required = book.config.approvalsRequired;
    return people.size >= required ? null : `has ${people.size} valid approvals of ${required}`;
  }

  function requireRequest(requestId: string | null, action: string, what: string): Request | null {
    const request = requestId === null ? undefined : book.requests.get(requestId);
    if (request === undefined) {
      find('25', `${what} without a request for approval`);
      return null;
    }
    const why = whyNot(request, action);
    if (why !== null) find('25', `${what} by request ${request.requestId}, which ${why}`);
    if (used.has(request.requestId))
      find('25', `${what} by request ${request.requestId}, which was used before`);
    used.add(request.requestId);
    return request;
  }

  function lookAtDestruction(key: Key, is: Version, at: number): void {
    const what = `the destruction of version ${is.version} of ${key.tenant}/${key.purpose} is decided`;
    const request = requireRequest(is.approvedBy, 'purge', what);
    if (request === null) return;
    if (request.keyId !== key.keyId || request.version !== is.version)
      find('25', `${what} by approvals of another version`);
    if (request.restoreEpoch !== key.restoreEpoch)
      find('25', `${what} by approvals of another restore epoch`);
    if (numberOf(request.evidence['onVersion']) !== 0)
      find('25', `${what} by a census that found values on it`);
    if (
      !(
        timeOf(request.evidence['takenAt']) >=
        timeOf(is.destroyPendingAt) - 2 * book.milliseconds('clockSkewSeconds')
      )
    )
      find('25', `${what} by a census that was taken before it was fenced`);
    // A call that was frozen on its way comes late, and what it decided was decided in time.
    const decided = timeOf(is.destroyAuthorizedAt);
    const late = book.faults.has('zombie')
      ? decided
      : Math.max(decided, at - book.milliseconds('clockSkewSeconds'));
    if (!(late < request.expiresAt)) find('25', `${what} after its approvals had expired`);
    const agreed = new Set(is.approvers.map(personOf));
    if (
      !((is.required ?? 0) >= book.config.approvalsRequired && agreed.size >= book.config.approvalsRequired)
    )
      find('25', `${what}, and the key names ${agreed.size} of ${is.required} people`);
  }

  function lookAtRelease(key: Key, hold: Hold, at: number): void {
    const what = `hold ${hold.holdId} of ${key.tenant}/${key.purpose} is released`;
    const ended = hold.until !== null && timeOf(hold.until) - book.milliseconds('clockSkewSeconds') <= at;
    const needed = hold.versions.some((version) => key.versions.get(version)?.state !== 'DESTROYED');
    if (ended || !needed || hold.reason === 'RESTORE') return;
    const requests = [...book.requests.values()].filter(
      ({ requestId, action, keyId, evidence }) =>
        action === 'release-hold' &&
        keyId === key.keyId &&
        evidence['holdId'] === hold.holdId &&
        !used.has(requestId),
    );
    // Which of them it was is written nowhere: one of those that were asked for again is enough.
    const why = (one: Request) => whyNot(one, 'release-hold') ?? whyNotNow(one, key, at);
    const request = requests.find((one) => why(one) === null) ?? requests.at(-1);
    if (requireRequest(request?.requestId ?? null, 'release-hold', what) === null) return;
    const late = request && whyNotNow(request, key, at);
    if (late != null) find('25', `${what} by request ${request?.requestId}, which ${late}`);
  }

  /** null: it may be acted on at this moment. What is asked before the write is as old as the write is slow. */
  function whyNotNow(request: Request, key: Key | undefined, at: number): string | null {
    if (request.restoreEpoch !== key?.restoreEpoch) return 'is of another restore epoch';
    if (CLOCKS.some((fault) => book.faults.has(fault))) return null;
    const asked = at - LONGEST_WRITE - book.milliseconds('clockSkewSeconds');
    return asked < request.expiresAt ? null : 'had expired';
  }

  function lookAtGiveUp(value: Value, was: Value | undefined, at: number): void {
    const what = `${nameOf(value)} is given up`;
    const stone = value.bytes === null ? null : parseTombstone(value.bytes);
    const request = requireRequest(stone?.requestId ?? null, 'give-up', what);
    if (request === null) return;
    const bytes = was?.bytes ?? new Uint8Array();
    const { sha256, field } = partsOf(request.evidence);
    const same =
      sha256 === createHash('sha256').update(bytes).digest('base64url') && field === value.place.field;
    if (!same) find('25', `${what} by approvals of another value`);
    const late = whyNotNow(request, book.keys.get(request.keyId), at);
    if (late !== null) find('25', `${what} by request ${request.requestId}, which ${late}`);
  }

  return {
    key({ entry, before, after }) {
      if (before === null || book.config.approvalsRequired === 0) return;
      for (const is of after.versions.values()) {
        const was = before.versions.get(is.version);
        if (is.destroyAuthorizedAt !== null && was?.destroyAuthorizedAt === null)
          lookAtDestruction(after, is, entry.at);
      }
      for (const hold of before.holds) {
        if (!after.holds.some(({ holdId }) => holdId === hold.holdId)) lookAtRelease(after, hold, entry.at);
      }
    },
    record({ entry, row: { before, after, cause } }) {
      if (cause !== 'give-up' || book.config.approvalsRequired === 0) return;
      for (const [i, value] of after?.values.entries() ?? []) {
        const was = before?.values[i];
        if (value !== was && value.bytes !== null) lookAtGiveUp(value, was, entry.at);
      }
    },
  };
};

/** From the look at approvals to the write that they are for: a few calls, of which one may be slow. Milliseconds. */
const LONGEST_WRITE = 120_000;
/** Whose clock stands hours behind cannot know that an approval is over: docs/simulation.md. */
const CLOCKS = ['clock-jump-back', 'clock-frozen'];

/** Names that differ in case only are one person's. */
function personOf(text: string): string {
  return text
    .trim()
    .replace(/^person:/, '')
    .toLowerCase();
}
