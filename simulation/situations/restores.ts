import { KID_FROM_END, KID_LENGTH, parseKid } from '../../shared/envelope/index.ts';
import type { KeyVersion } from '../../shared/keyring/key.ts';
import { isRunning } from '../../shared/rotation/rotation.ts';
import type { Known } from './known.ts';
import type { RecordEntry, RestoreChange, Situation } from './situation.ts';
import { OFTEN, RARE, SELDOM } from './within.ts';

/** What a restore of a store meets. */
export const RESTORES: readonly Situation[] = [
  {
    name: 'restore-in-grace',
    means: 'a restore begins while a retired version is in its grace',
    within: OFTEN,
    seen: {
      restore: (change, known) =>
        begins(change) &&
        versionsOf(known).some(
          ({ state, purgeNotBefore }) =>
            state === 'RETIRING' && purgeNotBefore !== null && Date.parse(purgeNotBefore) > change.at,
        ),
    },
  },
  {
    name: 'restore-in-rehearsal',
    means: 'a restore begins while the purge of a fenced version rehearses or counts',
    within: SELDOM,
    seen: {
      restore: (change, known) =>
        begins(change) &&
        known
          .pending()
          .some(
            ([{ keyId }, { version, destroyAuthorizedAt }]) =>
              destroyAuthorizedAt === null && known.purgeOf(keyId, version)?.status === 'CENSUS',
          ),
    },
  },
  {
    name: 'restore-while-awaited',
    means: 'a restore begins while a purge waits for approvals',
    within: RARE,
    seen: { restore: (change, known) => begins(change) && known.awaited().length > 0 },
  },
  {
    name: 'restore-after-decision',
    means: 'a restore begins when a destruction is decided, and not carried out',
    within: RARE,
    seen: {
      restore: (change, known) =>
        begins(change) && known.pending().some(([, { destroyAuthorizedAt }]) => destroyAuthorizedAt !== null),
    },
  },
  {
    name: 'restore-in-sweep',
    means: 'a restore begins while a rotation sweeps, waits or counts',
    within: SELDOM,
    seen: {
      restore: (change, known) =>
        begins(change) &&
        [...known.jobs.values()].some(
          ({ kind, status }) => kind === 'rotate' && isRunning(status) && status !== 'REQUESTED',
        ),
    },
  },
  {
    name: 'restore-refused',
    means: 'a restore is refused: a version that the backup may need is gone',
    within: OFTEN,
    seen: { entry: (entry) => entry.kind === 'refused' && entry.what === 'restore' },
  },
  {
    name: 'restore-called-off',
    means: 'a restore is called off while it is holding versions',
    within: OFTEN,
    seen: { restore: ({ before, after }) => before?.status === 'BEGUN' && after.status === 'ABORTING' },
  },
  {
    name: 'old-rows-back',
    means: 'rows of a version that was left come back',
    within: OFTEN,
    seen: {
      entry: (entry, known) => entry.kind === 'record' && entry.cause === 'restore' && namesOld(entry, known),
    },
  },
  {
    name: 'restore-swept-and-freed',
    means: 'a sweep after a restore frees the versions that it held',
    within: OFTEN,
    seen: {
      key: ({ before, after }, known) =>
        before?.holds.some(
          ({ holdId, reason, versions }) =>
            reason === 'RESTORE' &&
            known.restores.get(holdId)?.status === 'ENDED' &&
            !after.holds.some((hold) => hold.holdId === holdId) &&
            versions.some((version) => after.versions[String(version)]?.state === 'RETIRING'),
        ) === true,
    },
  },
];

function begins({ before }: RestoreChange): boolean {
  return before === null;
}

function versionsOf({ keys }: Known): readonly KeyVersion[] {
  return [...keys.values()].flatMap(({ versions }) => Object.values(versions));
}

/** Whether a value of it is on a version that its key has left. */
export function namesOld({ values }: RecordEntry, { keys }: Known): boolean {
  return (values ?? []).some((value) => {
    const at = value === null ? -1 : value.length - KID_FROM_END;
    if (value === null || at < 0) return false;
    // Few are: the key's id is read of those only.
    const version = new DataView(value.buffer, value.byteOffset + at).getUint32(KEY_ID_LENGTH);
    const left = [...keys.values()].filter(({ versions }) => versions[String(version)]?.state === 'RETIRING');
    if (left.length === 0) return false;
    const { keyId } = parseKid(value.subarray(at, at + KID_LENGTH));
    return left.some((key) => key.keyId === keyId);
  });
}

const KEY_ID_LENGTH = 16;
