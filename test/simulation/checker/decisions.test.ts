import { expect, test } from 'vitest';
import type { HistoryEntry } from '../../../simulation/history.ts';
import { check } from './check-history.ts';
import { cleanStory, KEY_ID, PURGE, plaintextsOf, ROTATION, recordOf, sealed } from './story.ts';

/** What speaks against a destruction, a lock, a late writer: one at a time, in a history that is clean otherwise. */

type Entries = HistoryEntry[];
// biome-ignore lint/suspicious/noExplicitAny: items are changed by hand
type Value = any;
type Is = (entry: HistoryEntry) => boolean;

const key =
  (wanted: (key: Value) => boolean): Is =>
  (entry) =>
    entry.kind === 'item' && entry.item === 'keys' && wanted(entry.value);
const job =
  (jobId: string, status: string): Is =>
  (entry) =>
    entry.kind === 'item' &&
    entry.item === 'jobs' &&
    (entry.value as Value).jobId === jobId &&
    (entry.value as Value).status === status;
const FENCED = key(({ versions }) => versions[1].state === 'DESTROY_PENDING');
const DECIDED = key(({ versions }) => versions[1].destroyAuthorizedAt !== null);
const CREATED = key(({ versions }) => versions[2]?.state === 'PRE_ACTIVE');
const ACTIVATED = key(({ active }) => active === 2);

function indexOf(entries: Entries, is: Is): number {
  const index = entries.findIndex(is);
  if (index < 0) throw new Error('the story has no such entry');
  return index;
}

/** Changes the items of the key from that commit up to, and without, the next one that is meant. */
function changeKeys(entries: Entries, from: Is, until: Is | null, to: (key: Value) => object): Entries {
  const first = indexOf(entries, from);
  const last = until === null ? entries.length : indexOf(entries, until);
  return entries.map((entry, i) =>
    i >= first && i < last && entry.kind === 'item' && entry.item === 'keys'
      ? { ...entry, value: { ...(entry.value as Value), ...to(entry.value) } }
      : entry,
  );
}

function insertBefore(entries: Entries, is: Is, event: object): Entries {
  const index = indexOf(entries, is);
  const { seq, at } = entries[index] as HistoryEntry;
  return entries.toSpliced(index, 0, { seq: seq - 0.5, at, ...event } as HistoryEntry);
}

const hold = (more: object) => ({
  holds: [{ holdId: 'hold-1', versions: [1], reason: 'PERSON', until: null, endedEpoch: null, ...more }],
});
const item = (name: string, id: string, value: object) => ({
  kind: 'item',
  item: name,
  id,
  value,
  by: 'test',
});
const given = (entries: Entries): object => {
  const { value } = entries[indexOf(entries, FENCED)] as Value;
  const fencedAt = value.versions[1].destroyPendingAt;
  return { kind: 'given', keyId: KEY_ID, version: 1, fencedAt, by: 'app' };
};
const withoutFault = (entries: Entries) => entries.filter(({ kind }) => kind !== 'fault');
const late = recordOf('3', 'application', sealed('3', 1), plaintextsOf('3'));

const VIOLATIONS: Record<string, [rule: string, what: RegExp, make: (entries: Entries) => Entries]> = {
  'a decision while a person holds the version': [
    '8',
    /decided though hold hold-1 \(PERSON\) stands/,
    (s) => changeKeys(s, DECIDED, null, () => hold({})),
  ],
  'a decision while a backup holds the version': [
    '8',
    /decided though hold hold-1 \(BACKUP\) stands/,
    (s) => changeKeys(s, DECIDED, null, () => hold({ reason: 'BACKUP', until: '2026-01-02T00:00:00.000Z' })),
  ],
  'a decision while a store is being restored': [
    '9',
    /decided though hold hold-1 \(RESTORE\) stands/,
    (s) => changeKeys(s, DECIDED, null, () => hold({ reason: 'RESTORE' })),
  ],
  'a decision after a restore': [
    '9',
    /though a store was restored since it was fenced/,
    (s) => changeKeys(s, FENCED, DECIDED, ({ restoreEpoch }) => ({ restoreEpoch: restoreEpoch - 1 })),
  ],
  'a decision though somebody asked for the version': [
    '6',
    /is decided to be destroyed, and was asked for/,
    (s) => changeKeys(s, FENCED, DECIDED, () => ({ canary: { version: 1, at: 'then' } })),
  ],
  'a destruction of what an application was given': [
    '6',
    /is destroyed, and an application was given it/,
    (s) => withoutFault(insertBefore(s, DECIDED, given(s))),
  ],
  'a decision of a purge that was called off': [
    '6',
    /700 s after its purge was called off/,
    (s) => {
      const index = indexOf(s, job(PURGE, 'CENSUS'));
      const { seq, at, value } = s[index] as Value;
      const cancelled = { ...value, status: 'CANCELLED', revision: value.revision + 1 };
      return s.toSpliced(index + 1, 0, { seq: seq + 0.5, at, ...item('jobs', PURGE, cancelled) } as Value);
    },
  ],
  'a decision with a value whose version cannot be told': [
    '17',
    /of people cannot be told/,
    (s) =>
      insertBefore(
        s,
        FENCED,
        item('quarantined', 'q3', {
          ...{ keyId: KEY_ID, tenant: 'acme', recordSet: 'people', recordId: ['3'], field: 'email' },
          ...{ code: 'ENVELOPE_MALFORMED', version: null },
        }),
      ),
  ],
  'a decision soon after the last value left the version': [
    '8',
    /before the grace of its last value is over/,
    (s) =>
      insertBefore(
        insertBefore(s, FENCED, recordOf('3', 'restore', sealed('3', 1))),
        FENCED,
        recordOf('3', 'application', sealed('3', 2), plaintextsOf('3')),
      ),
  ],
  'approvals of a census of before the fence': [
    '25',
    /by a census that was taken before it was fenced/,
    (s) =>
      s.map((entry) => {
        if (entry.kind !== 'item' || entry.item !== 'approvalRequests') return entry;
        const value = entry.value as Value;
        const evidence = { ...value.evidence, takenAt: '2026-01-01T00:00:00.000Z' };
        return { ...entry, value: { ...value, evidence } };
      }),
  ],
  'a lock that goes from one job to another': [
    '6',
    /is locked by other, and rotation-1 had not given it up/,
    (s) => changeKeys(s, ACTIVATED, null, ({ rotationId }) => rotationId && { rotationId: 'other' }),
  ],
  'two versions that wait for their activation': [
    '18',
    /has 2 versions that are PRE_ACTIVE/,
    (s) =>
      changeKeys(s, CREATED, ACTIVATED, ({ versions }) => ({
        versions: { ...versions, 3: { ...versions[2], version: 3 } },
      })),
  ],
  'a new version that no rotation knows of': [
    '19',
    /has a PRE_ACTIVE version that no rotation knows of/,
    (s) => changeKeys(s, CREATED, ACTIVATED, () => ({ rotationId: null })),
  ],
  'a writer that comes too late': [
    '5',
    /test sealed under version 1, \d+ ms after it was left/,
    (s) => insertBefore(s, job(ROTATION, 'COMPLETED'), late),
  ],
  'a restore that is freed by a sweep of before its end': [
    '9',
    /restore restore-1 holds acme\/default no more, and no sweep since its end freed it/,
    (s) =>
      s.map((entry) =>
        entry.kind === 'item' && entry.item === 'jobs' && (entry.value as Value).jobId === 'resweep-1'
          ? { ...entry, value: { ...(entry.value as Value), restoreEpoch: 1 } }
          : entry,
      ),
  ],
  'a version that stays suspended': [
    '22',
    /is SUSPENDED, and its root key can be used again/,
    (s) => {
      const suspended = indexOf(
        s,
        key(({ versions }) => versions[1].state === 'SUSPENDED'),
      );
      const resumed = s.findIndex(
        (entry, i) => i > suspended && entry.kind === 'item' && entry.item === 'keys',
      );
      return [...s.slice(0, resumed), s.at(-1) as HistoryEntry];
    },
  ],
};

for (const [name, [rule, what, make]] of Object.entries(VIOLATIONS)) {
  test(`${rule}: ${name}`, () => {
    const findings = check(make(cleanStory()));
    expect(findings.filter((finding) => finding.rule === rule && what.test(finding.what))).not.toEqual([]);
  });
}

const ARE_CLEAN: Record<string, (entries: Entries) => Entries> = {
  'a hold that has ended': (s) =>
    changeKeys(s, FENCED, null, () => hold({ until: '2026-01-01T00:00:00.000Z' })),
  'a version that was given, and a ledger that took no mark': (s) => insertBefore(s, DECIDED, given(s)),
  'a writer that stood still': (s) =>
    insertBefore(
      insertBefore(s, job(ROTATION, 'COMPLETED'), { kind: 'fault', fault: 'frozen-application', where: 'a' }),
      job(ROTATION, 'COMPLETED'),
      late,
    ),
};

for (const [name, make] of Object.entries(ARE_CLEAN)) {
  test(`allowed: ${name}`, () => {
    const ours = check(make(cleanStory())).filter(({ what }) =>
      /decided (though|\d)|given it while|sealed under/.test(what),
    );
    expect(ours).toEqual([]);
  });
}
