import type { Key, Version } from '../items.ts';
import { timeOf } from '../parts.ts';
import type { MakeRule } from '../rule.ts';

/**
 * A version is fenced no earlier than its grace after the count that found nothing on it, and destroyed no earlier than its
 * rehearsal after that: in true time, whatever the clocks say, but for the skew that they are declared to have.
 */
export const grace: MakeRule = (book, find) => {
  /** True times of the count that each version's purge date comes from, by key and version. */
  const counted = new Map<string, number>();

  /** True times when the last live value left each version, by key and version. */
  const leftAt = new Map<string, number>();

  /** Of the job that retired it anew in this write: the sweep that gave up the lock, or else the version's own purge. */
  function countOf(before: Key | null, after: Key, { version }: Version, at: number): number {
    const sweep = after.rotationId === null ? (before?.rotationId ?? null) : null;
    for (const { jobId, kind, keyId, from } of book.jobs.values()) {
      const its =
        sweep === null ? kind === 'purge' && keyId === after.keyId && from === version : jobId === sweep;
      if (its) return book.lastCount.get(jobId)?.at ?? at;
    }
    return at;
  }

  function lookAt(key: Key, was: Version, is: Version, at: number): void {
    const name = `version ${is.version} of ${key.tenant}/${key.purpose}`;
    const skew = book.milliseconds('clockSkewSeconds');
    if (is.state === 'DESTROY_PENDING' && was.state !== 'DESTROY_PENDING') {
      const since = counted.get(`${key.keyId}/${is.version}`) ?? Number.NaN;
      const early = since + book.milliseconds('graceSeconds') - skew - at;
      if (!(early <= 0)) find('8', `${name} is fenced ${inSeconds(early)} before its grace is over`);
      if (!(timeOf(is.purgeNotBefore) - skew <= at))
        find('8', `${name} is fenced before ${is.purgeNotBefore}`);
    }
    if (is.destroyAuthorizedAt !== null && was.destroyAuthorizedAt === null) {
      const left = leftAt.get(`${key.keyId}/${is.version}`) ?? Number.NEGATIVE_INFINITY;
      const early = left + book.milliseconds('graceSeconds') - 2 * skew - at;
      if (early > 0)
        find(
          '8',
          `the destruction of ${name} is decided ${inSeconds(early)} before the grace of its last value is over`,
        );
    }
    if (is.state === 'DESTROYED' && was.state === 'DESTROY_PENDING') {
      // The fence's own time may be wrong by the skew, and so may the clock that ends the rehearsal.
      const early = timeOf(was.destroyPendingAt) + book.milliseconds('soakSeconds') - 2 * skew - at;
      if (!(early <= 0)) find('8', `${name} is destroyed ${inSeconds(early)} before its rehearsal is over`);
    }
  }

  return {
    record({ entry: { at }, row: { before } }) {
      for (const { bytes, expected } of before?.values ?? []) {
        const named = bytes === null || expected === 'excused' ? null : book.opener.parse(bytes);
        if (named !== null) leftAt.set(`${named.keyId}/${named.version}`, at);
      }
    },
    key({ entry: { at }, before, after }) {
      for (const is of after.versions.values()) {
        const was = before?.versions.get(is.version);
        if (was === undefined || was === is) continue;
        lookAt(after, was, is, at);
        if (is.purgeNotBefore !== null && is.purgeNotBefore !== was.purgeNotBefore)
          counted.set(`${after.keyId}/${is.version}`, countOf(before, after, is, at));
      }
    },
  };
};

function inSeconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 1000)} s`;
}
