import { aVersion, type KeyChange, type Situation } from './situation.ts';
import { OFTEN, RARE, SELDOM } from './within.ts';

/** What meets a version on its way to its destruction. */
export const PURGES: readonly Situation[] = [
  {
    name: 'decided-then-used',
    means: 'a destruction that was decided is taken back: an application asked for the version',
    within: OFTEN,
    seen: { key: (change) => change.after.canary !== null && takesBack(change) },
  },
  {
    name: 'decided-then-restored',
    means: 'a destruction that was decided is taken back: a store is being restored',
    within: RARE,
    seen: { key: (change) => change.after.canary === null && takesBack(change) },
  },
  {
    name: 'decided-then-interrupted',
    means: 'a destruction that one attempt decided is carried out by a later one',
    within: RARE,
    seen: {
      key: (change, known) =>
        aVersion(change, (was, is) => {
          const { keyId } = change.after;
          const decided = known.decidedBy.get(`${keyId}/${is.version}`);
          const erased = is.state === 'DESTROYED' && was.state === 'DESTROY_PENDING';
          return erased && decided !== undefined && known.purgeOf(keyId, is.version)?.attempt !== decided;
        }),
    },
  },
  {
    name: 'used-while-fenced',
    means: 'an application asks for a fenced version, and its purge is called off',
    within: OFTEN,
    seen: {
      key: (change) =>
        change.before?.canary !== null &&
        aVersion(
          change,
          (was, is) =>
            was.state === 'DESTROY_PENDING' && was.destroyAuthorizedAt === null && is.state === 'RETIRING',
        ),
    },
  },
  {
    name: 'used-while-awaited',
    means: 'an application asks for a version while its purge waits for approvals',
    within: SELDOM,
    seen: {
      key: ({ before, after }, known) =>
        before !== null &&
        before.canary === null &&
        after.canary !== null &&
        known
          .awaited()
          .some(({ keyId, version }) => keyId === after.keyId && version === after.canary?.version),
    },
  },
  {
    name: 'held-while-fenced',
    means: 'a person places a hold on a fenced version',
    within: OFTEN,
    seen: {
      key: ({ before, after }) =>
        after.holds.some(
          ({ holdId, reason, versions }) =>
            reason === 'PERSON' &&
            before !== null &&
            !before.holds.some((hold) => hold.holdId === holdId) &&
            versions.some((version) => before.versions[String(version)]?.state === 'DESTROY_PENDING'),
        ),
    },
  },
  {
    name: 'rollback-of-a-fenced-version',
    means: 'a rollback calls off the purge that had fenced its version, and begins',
    within: OFTEN,
    seen: {
      job({ before, after }, known) {
        if (before !== null || after.goal !== 'ROLLBACK') return false;
        const purge = known.purgeOf(after.keyId, after.to);
        return purge?.status === 'CANCELLED' && known.wentThrough(purge.jobId, /^(CENSUS|PAUSED)>CANCELLED/);
      },
    },
  },
  {
    name: 'rotation-while-fenced',
    means: 'a rotation begins while an older version of its key is fenced',
    within: OFTEN,
    seen: {
      job: ({ before, after }, known) =>
        before === null &&
        after.goal === 'NEW_VERSION' &&
        known.pending().some(([{ keyId }]) => keyId === after.keyId),
    },
  },
  {
    name: 'two-fenced',
    means: 'two versions of a key are fenced at once',
    within: OFTEN,
    seen: {
      key: ({ after }) =>
        Object.values(after.versions).filter(({ state }) => state === 'DESTROY_PENDING').length > 1,
    },
  },
  {
    name: 'purge-paused-and-done',
    means: 'a purge that a person paused while its version was fenced comes to its end',
    within: SELDOM,
    seen: {
      job: ({ after }, known) =>
        after.kind === 'purge' &&
        after.status === 'COMPLETED' &&
        known.wentThrough(after.jobId, /^CENSUS>PAUSED PERSON/),
    },
  },
  {
    name: 'purge-rested-and-done',
    means: 'a purge that rested for its root key comes to its end',
    within: SELDOM,
    seen: {
      job: ({ after }, known) =>
        after.kind === 'purge' &&
        after.status === 'COMPLETED' &&
        known.wentThrough(after.jobId, />PAUSED ROOT_KEY/),
    },
  },
  {
    name: 'purge-found-quarantine',
    means: 'quarantined values that may need the version block its purge',
    within: OFTEN,
    seen: {
      job: ({ before, after }) =>
        after.kind === 'purge' &&
        before?.status === 'CENSUS' &&
        after.blocker?.code === 'QUARANTINED_RECORDS',
    },
  },
  {
    name: 'grace-renewed',
    means: 'a version that something was found on is counted clean, and its grace begins anew',
    within: SELDOM,
    seen: {
      key: (change) =>
        aVersion(
          change,
          (was, is) => (was.seen?.cleanAt ?? null) === null && (is.seen?.cleanAt ?? null) !== null,
        ),
    },
  },
  {
    name: 'blocked-then-certified',
    means: 'a purge that had been blocked ends with a certificate',
    within: OFTEN,
    seen: {
      entry(entry, known) {
        if (entry.kind !== 'item' || entry.item !== 'certificates') return false;
        const { keyId, version } = entry.value as { readonly keyId: string; readonly version: number };
        const purge = known.purgeOf(keyId, version);
        return purge !== undefined && known.wentThrough(purge.jobId, />BLOCKED/);
      },
    },
  },
];

function takesBack(change: KeyChange): boolean {
  return aVersion(
    change,
    (was, is) =>
      was.state === 'DESTROY_PENDING' && was.destroyAuthorizedAt !== null && is.state === 'RETIRING',
  );
}
