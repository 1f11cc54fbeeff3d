import type { Key, Version } from '../items.ts';
import { partsOf, textOf, timeOf } from '../parts.ts';
import type { MakeRule } from '../rule.ts';

/**
 * What speaks against a destruction when it is decided: a hold, a restore since it was fenced, somebody who asked for the
 * version, a purge that was called off, a value whose version cannot be told.
 */
export const decisions: MakeRule = (book, find) => {
  /** The restore epoch at which each version was fenced, by key and version. */
  const fenced = new Map<string, number>();
  /** Versions that were asked for while they were fenced, and given: when that fence was set. */
  const given = new Map<string, string | null>();
  /** When each job was called off, or paused by a person. */
  const calledOff = new Map<string, number>();

  function* reasons(key: Key, { version }: Version, at: number): Generator<readonly [string, string]> {
    const skew = book.milliseconds('clockSkewSeconds');
    for (const { holdId, versions, reason, until } of key.holds) {
      if (versions.includes(version) && (until === null || timeOf(until) > at))
        yield [reason === 'RESTORE' ? '9' : '8', `though hold ${holdId} (${reason}) stands`];
    }
    if (fenced.get(`${key.keyId}/${version}`) !== key.restoreEpoch)
      yield ['9', 'though a store was restored since it was fenced'];
    for (const { jobId, kind, keyId, from } of book.jobs.values()) {
      if (kind !== 'purge' || keyId !== key.keyId || from !== version) continue;
      const since = at - (calledOff.get(jobId) ?? at);
      // Whoever was frozen between looking and writing had looked before.
      if (since > book.milliseconds('maxTransactionSeconds') + skew && !book.faults.has('zombie'))
        yield ['6', `${Math.round(since / 1000)} s after its purge was called off`];
      const counted = book.censusBegan.get(jobId)?.seq ?? 0;
      for (const { seq, ...value } of book.untold.values())
        if (value.keyId === key.keyId && seq < counted)
          yield ['17', `though the version of a quarantined value of ${value.recordSet} cannot be told`];
    }
  }

  function lookAt(key: Key, was: Version, is: Version, at: number): void {
    const name = `version ${is.version} of ${key.tenant}/${key.purpose}`;
    const decided = is.destroyAuthorizedAt !== null && was.destroyAuthorizedAt === null;
    const destroyed = is.state === 'DESTROYED' && was.state === 'DESTROY_PENDING';
    if (decided)
      for (const [rule, why] of reasons(key, is, at))
        find(rule, `the destruction of ${name} is decided ${why}`);
    if (!decided && !destroyed) return;
    if (key.whole['canary'] !== null) {
      const { at: asked } = partsOf(key.whole['canary']);
      find(
        '6',
        `${name} is ${decided ? 'decided to be destroyed' : 'destroyed'}, and was asked for at ${textOf(asked)}`,
      );
    }
    // A mark that the ledger does not take is left to the log.
    if (
      destroyed &&
      given.get(`${key.keyId}/${is.version}`) === was.destroyPendingAt &&
      !book.faults.has('ledger-throttled')
    )
      find('6', `${name} is destroyed, and an application was given it while it was fenced`);
  }

  return {
    key({ entry: { at }, before, after }) {
      if (before === null) return;
      for (const is of after.versions.values()) {
        const was = before.versions.get(is.version);
        if (was === undefined || was === is) continue;
        if (is.state === 'DESTROY_PENDING' && was.state !== 'DESTROY_PENDING')
          fenced.set(`${after.keyId}/${is.version}`, after.restoreEpoch);
        lookAt({ ...after, whole: before.whole }, was, is, at);
      }
    },
    job({ entry: { at }, before, after: { jobId, status, pause } }) {
      const off = status === 'CANCELLED' || (status === 'PAUSED' && pause === 'PERSON');
      if (!off) calledOff.delete(jobId);
      else if (before?.status !== status) calledOff.set(jobId, at);
    },
    entry(entry) {
      if (entry.kind !== 'given') return;
      const version = book.keys.get(entry.keyId)?.versions.get(entry.version);
      if (version?.state === 'DESTROY_PENDING' && version.destroyPendingAt === entry.fencedAt)
        given.set(`${entry.keyId}/${entry.version}`, entry.fencedAt);
    },
  };
};
