import { expect, test } from 'vitest';
import { requestIdOf } from '../../../shared/approvals/binding.ts';
import { digestOf } from '../../../shared/signing/canonical-json.ts';
import type { HistoryEntry } from '../../../simulation/history.ts';
import { check } from './check-history.ts';
import {
  bytesOf,
  certificateOf,
  cleanStory,
  KEY_ID,
  kekBytes,
  PURGE,
  pageOf,
  plaintextsOf,
  ROTATION,
  recordOf,
  rewrapped,
  sealed,
  segmentOf,
} from './story.ts';

/** One violation at a time, in a history that is clean otherwise: each is found. */

type Entries = HistoryEntry[];
type Is = (entry: HistoryEntry) => boolean;
type Item = Extract<HistoryEntry, { kind: 'item' }>;
// biome-ignore lint/suspicious/noExplicitAny: items are changed by hand
type Value = any;

const isItem =
  (item: string, wanted: (value: Value) => boolean): Is =>
  (entry) =>
    entry.kind === 'item' && entry.item === item && entry.value !== null && wanted(entry.value);
const jobIs = (jobId: string, status: string) =>
  isItem('jobs', (job) => job.jobId === jobId && job.status === status);
const keyWith = (version: number, state: string) =>
  isItem('keys', (key) => key.versions[version]?.state === state);
const decided = isItem('keys', (key) => key.versions[1].destroyAuthorizedAt !== null);
const of =
  (kind: HistoryEntry['kind']): Is =>
  (entry) =>
    entry.kind === kind;
const writtenBy =
  (cause: string): Is =>
  (entry) =>
    entry.kind === 'record' && entry.cause === cause;
const auditOf = (eventId: string) => isItem('audit', (entry) => entry.eventId === eventId);

function indexOf(entries: Entries, is: Is): number {
  const index = entries.findIndex(is);
  if (index < 0) throw new Error('the story has no such entry');
  return index;
}

function change<T extends HistoryEntry>(entries: Entries, is: Is, to: (entry: T) => object): Entries {
  const index = indexOf(entries, is);
  return entries.map((entry, i) => (i === index ? ({ ...entry, ...to(entry as T) } as HistoryEntry) : entry));
}

const value = (entries: Entries, is: Is, to: (value: Value) => object): Entries =>
  change<Item>(entries, is, (entry) => ({ value: { ...(entry.value as object), ...to(entry.value) } }));

/** Of one version in the key, from that commit on. */
const version = (entries: Entries, is: Is, number: number, changes: object, others: object = {}): Entries =>
  value(entries, is, (key) => ({
    ...others,
    versions: { ...key.versions, [number]: { ...key.versions[number], ...changes } },
  }));

function without(entries: Entries, is: Is): Entries {
  const index = indexOf(entries, is);
  return entries.toSpliced(index, 1);
}

function insert(entries: Entries, is: Is, event: object, before = false): Entries {
  const index = indexOf(entries, is);
  const { seq, at } = entries[index] as HistoryEntry;
  const step = before ? -0.5 : 0.5;
  return entries.toSpliced(before ? index : index + 1, 0, { seq: seq + step, at, ...event } as HistoryEntry);
}

/** Everything from there on happens so many seconds earlier. */
function earlier(entries: Entries, is: Is, seconds: number): Entries {
  const index = indexOf(entries, is);
  return entries.map((entry, i) => (i < index ? entry : { ...entry, at: entry.at - seconds * 1000 }));
}

const item = (kind: string, id: string, to: unknown) => ({
  kind: 'item',
  item: kind,
  id,
  value: to,
  by: 'test',
});

/** One commit of the key has a hold of a person's, and the next one not; in between its release was asked for and agreed to. */
function released(
  s: Entries,
  ...asked: readonly { readonly expiresAt?: string; readonly restoreEpoch?: number; readonly by?: string[] }[]
): Entries {
  const holds = [{ holdId: 'hold-1', versions: [1], reason: 'PERSON', until: null }];
  const held = keyWith(2, 'PRE_ACTIVE');
  const { value: key } = s[indexOf(s, held)] as Item;
  const evidence = { holdId: 'hold-1' };
  return asked.toReversed().reduce(
    (story, { expiresAt = '2026-01-02T00:00:00.000Z', restoreEpoch, by = ['bob', 'cid'] }) => {
      const binding = {
        ...{ action: 'release-hold' as const, tenant: 'acme', purpose: 'default', keyId: KEY_ID, version: 1 },
        restoreEpoch: restoreEpoch ?? (key as Value).restoreEpoch,
        ...{ subject: digestOf(evidence), expiresAt, requestedBy: 'person:ann' },
      };
      const requestId = requestIdOf(binding);
      const approvals = by.map((approver) =>
        item('approvals', `${requestId}/${approver}`, {
          ...{ requestId, approver, at: '2026-01-01T00:00:00.000Z' },
        }),
      );
      const request = item('approvalRequests', requestId, { ...binding, requestId, evidence });
      return [...approvals, request].reduce((entries, entry) => insert(entries, held, entry), story);
    },
    value(s, held, () => ({ holds })),
  );
}

const REWRAPPED = writtenBy('pipeline');
const COMPLETED = jobIs(ROTATION, 'COMPLETED');
const [EMAIL = new Uint8Array(), PHONE = new Uint8Array()] = sealed('1', 1);

const VIOLATIONS: Record<string, [rule: string, what: RegExp, make: (entries: Entries) => Entries]> = {
  'a read that fails for no reason': [
    '2',
    /which opens, and was told KEY_UNAVAILABLE/,
    (s) => change(s, of('read'), () => ({ code: 'KEY_UNAVAILABLE' })),
  ],
  'a read that fails long after the last fault': [
    '2',
    /which opens, and was told KEY_UNAVAILABLE/,
    (s) => {
      const read = { ...s[indexOf(s, of('read'))], code: 'KEY_UNAVAILABLE' };
      const fault = { kind: 'fault', fault: 'kms-error', where: 'app provider.unwrapKek' };
      const quiet = { kind: 'quiet' };
      const early = s.filter(({ kind }) => kind !== 'root-key' && kind !== 'read');
      const at = early.at(-1)?.at ?? 0;
      return [...insert(insert(early, of('config'), quiet), of('config'), fault), { ...read, at }] as Entries;
    },
  ],
  'a write that does not open': [
    '2',
    /does not open to what was committed/,
    (s) =>
      change(s, writtenBy('application'), () => ({ plaintexts: [bytesOf('something else'), bytesOf('x')] })),
  ],
  'a pipeline that takes a value away': [
    '2',
    /is gone/,
    (s) => insert(s, REWRAPPED, recordOf('2', 'pipeline', [null, null])),
  ],
  'a pipeline that deletes a record': [
    '2',
    /was deleted/,
    (s) => insert(s, REWRAPPED, { ...recordOf('2', 'pipeline', []), values: null }),
  ],
  'a version that the ledger has not': [
    '4',
    /names version 2, which the ledger has not/,
    (s) => insert(s, of('read'), recordOf('3', 'application', sealed('3', 2), plaintextsOf('3'))),
  ],
  'a version that is not proved': [
    '4',
    /not yet proved/,
    (s) =>
      insert(s, keyWith(2, 'PRE_ACTIVE'), recordOf('3', 'application', sealed('3', 2), plaintextsOf('3'))),
  ],
  'an activation before the proof': [
    '4',
    /was not proved before/,
    (s) =>
      version(
        s,
        isItem(
          'keys',
          (key) => key.versions[2]?.provedAt !== null && key.active === 1 && key.versions[2] !== undefined,
        ),
        2,
        { provedAt: null, check: null },
      ),
  ],
  'a proof of other bytes than those that are stored': [
    '4',
    /other bytes than those that are stored/,
    (s) =>
      change(
        s,
        (entry) => entry.kind === 'kek' && entry.version === 2,
        () => ({ kek: kekBytes(3) }),
      ),
  ],
  'a write under a destroyed version': [
    '1',
    /which is destroyed/,
    (s) =>
      insert(s, keyWith(1, 'DESTROYED'), recordOf('3', 'application', sealed('3', 1), plaintextsOf('3'))),
  ],
  'a record on the version that is destroyed': [
    '1',
    /version 1 of acme\/default is destroyed, which people 3 email names/,
    (s) => insert(s, COMPLETED, recordOf('3', 'application', sealed('3', 1), plaintextsOf('3'))),
  ],
  'a backup with the version that is destroyed': [
    '1',
    /in backup backup-1 names/,
    (s) => without(s, of('backup-lapsed')),
  ],
  'a damaged value on the version that is destroyed, which the count overlooked': [
    '1',
    /damaged before it was counted/,
    (s) => insert(s, COMPLETED, recordOf('3', 'damage', [EMAIL, PHONE])),
  ],
  'a quarantined value on the version that is destroyed': [
    '17',
    /which the quarantined people 3 email names/,
    (s) =>
      insert(
        insert(s, COMPLETED, recordOf('3', 'damage', [EMAIL, PHONE])),
        COMPLETED,
        item('quarantined', 'q3', {
          keyId: KEY_ID,
          tenant: 'acme',
          recordSet: 'people',
          recordId: ['3'],
          field: 'email',
          code: 'DECRYPTION_FAILED',
          version: 1,
        }),
      ),
  ],
  'two active versions': [
    '3',
    /version 1 of acme\/default is ACTIVE, and 2 is pointed at/,
    (s) => version(s, keyWith(2, 'ACTIVE'), 1, { state: 'ACTIVE' }),
  ],
  'a pointer to another version': [
    '3',
    /points at version 1, which is RETIRING/,
    (s) => value(s, keyWith(2, 'ACTIVE'), () => ({ active: 1 })),
  ],
  'a step that is not allowed': [
    '6',
    /from RETIRING to DESTROYED/,
    (s) => without(without(s, keyWith(1, 'DESTROY_PENDING')), decided),
  ],
  'a revision twice': [
    '6',
    /committed as revision/,
    (s) =>
      change<Item>(s, keyWith(2, 'ACTIVE'), ({ value: key }) => ({
        value: { ...(key as object), revision: 3 },
      })),
  ],
  'another content under the same revision': [
    '6',
    /committed as revision/,
    (s) => {
      const { value: key } = s[indexOf(s, keyWith(2, 'ACTIVE'))] as Item;
      return insert(
        s,
        keyWith(2, 'ACTIVE'),
        item('keys', 'key', { ...(key as object), rotationId: 'other' }),
      );
    },
  ],
  'a destruction that nobody decided': ['6', /which no write before had decided/, (s) => without(s, decided)],
  'a job that leaves its way': [
    '6',
    /went from SWEEPING to COMPLETED/,
    (s) => without(without(s, jobIs(ROTATION, 'BARRIER')), jobIs(ROTATION, 'CENSUS')),
  ],
  'a job that a person called off, and the sweep begins anew': [
    '6',
    /rotate late was called off, and sweep#4 begins it anew/,
    (s) => begunAnew(s, 'sweep#4'),
  ],
  'a job whose revision is left out': [
    '6',
    /rotation-1 was committed as revision/,
    (s) => without(s, jobIs(ROTATION, 'BARRIER')),
  ],
  'a restore that is taken back': [
    '6',
    /restore restore-1 went from READY to BEGUN/,
    (s) =>
      insert(
        s,
        isItem('restores', (r) => r.status === 'READY'),
        item('restores', 'restore-1', {
          restoreId: 'restore-1',
          store: 'main',
          status: 'BEGUN',
          revision: 3,
        }),
      ),
  ],
  'a grace that was cut short': [
    '8',
    /before its grace is over/,
    (s) => earlier(s, jobIs(PURGE, 'REQUESTED'), 200),
  ],
  'a rehearsal that was cut short': [
    '8',
    /before its rehearsal is over/,
    (s) =>
      earlier(
        s,
        isItem('censuses', ({ jobId }) => jobId === PURGE),
        300,
      ),
  ],
  'a barrier that was cut short': [
    '5',
    /began \d+ ms after its activation/,
    (s) => earlier(s, jobIs(ROTATION, 'CENSUS'), 40),
  ],
  'a rotation that leaves something behind': [
    '16',
    /people 1 email is not on it/,
    (s) => without(s, REWRAPPED),
  ],
  'rows that come back before their restore is ready': [
    '9',
    /which is BEGUN/,
    (s) =>
      without(
        s,
        isItem('restores', ({ status }) => status === 'READY'),
      ),
  ],
  'rows that come back and are not held': [
    '9',
    /does not hold version 1/,
    (s) =>
      value(
        s,
        isItem('keys', ({ holds }) => holds.length > 0),
        () => ({ holds: [] }),
      ),
  ],
  'a chunk that is counted twice': [
    '15',
    /counts a chunk twice/,
    (s) =>
      change(
        s,
        isItem('pages', ({ done }) => done.length === 1),
        () => ({ value: pageOf([0, 0], 4) }),
      ),
  ],
  'a chunk that is counted wrongly': [
    '15',
    /not those of its 1 chunks/,
    (s) =>
      change(
        s,
        isItem('pages', ({ done }) => done.length === 1),
        () => ({ value: pageOf([0], 1) }),
      ),
  ],
  'a mark over what is not finished': [
    '15',
    /passed over a page/,
    (s) => insert(s, REWRAPPED, item('segments', 's', segmentOf(1))),
  ],
  'a certificate of a version that is there': [
    '15',
    /a version that is not destroyed/,
    (s) => insert(s, decided, item('certificates', 'c', certificateOf({ onVersion: 0, coverage: {} }))),
  ],
  'a certificate that counted something': [
    '15',
    /counts 1 values on the version/,
    (s) =>
      change(
        s,
        isItem('certificates', () => true),
        () => ({ value: certificateOf({ onVersion: 1, coverage: {} }) }),
      ),
  ],
  'a certificate that does not sum': [
    '15',
    /values that do not sum/,
    (s) =>
      change(
        s,
        isItem('certificates', () => true),
        () => ({
          value: certificateOf({
            onVersion: 0,
            coverage: {
              people: { values: 4, versions: { 2: 3 }, foreign: 0, malformed: 0, tombstones: 0, others: 0 },
            },
          }),
        }),
      ),
  ],
  'a destroyed version without a certificate': [
    '15',
    /has no certificate/,
    (s) =>
      without(
        s,
        isItem('certificates', () => true),
      ),
  ],
  "an application's write that is lost": [
    '10',
    /another plaintext than the application's last/,
    (s) =>
      insert(s, REWRAPPED, recordOf('1', 'application', sealed('9', 2), plaintextsOf('9')), true).map(
        (entry) =>
          entry.kind === 'record' &&
          entry.plaintexts !== null &&
          entry.plaintexts[0]?.toString() === bytesOf('email of number 9').toString()
            ? { ...entry, values: sealed('1', 2), plaintexts: plaintextsOf('9') }
            : entry,
      ),
  ],
  'a rewrap that breaks the value': [
    '14',
    /does not open any more/,
    (s) =>
      change<Extract<HistoryEntry, { kind: 'record' }>>(s, REWRAPPED, ({ values }) => ({
        values: (values ?? []).map(
          (bytes) => bytes && Uint8Array.from(bytes, (byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)),
        ),
      })),
  ],
  'a rewrap that changes the ciphertext': [
    '11',
    /another ciphertext/,
    (s) => change(s, REWRAPPED, () => ({ values: sealed('1', 2) })),
  ],
  'a rewrap that goes back': [
    '12',
    /from version 2 back to 1 without a rollback/,
    (s) => insert(s, REWRAPPED, recordOf('1', 'pipeline', rewrapped([EMAIL, PHONE], 1, 1))),
  ],
  'a value that is quarantined for nothing': [
    '17',
    /nothing is wrong with it/,
    (s) =>
      insert(
        s,
        COMPLETED,
        item('quarantined', 'q2', {
          keyId: KEY_ID,
          tenant: 'acme',
          recordSet: 'people',
          recordId: ['2'],
          field: 'email',
          code: 'DECRYPTION_FAILED',
          version: 2,
        }),
      ),
  ],
  'a value that is quarantined for its root key': [
    '22',
    /is quarantined for ROOT_KEY_DISABLED/,
    (s) =>
      insert(
        s,
        COMPLETED,
        item('quarantined', 'q2', {
          keyId: KEY_ID,
          tenant: 'acme',
          recordSet: 'people',
          recordId: ['2'],
          field: 'email',
          code: 'ROOT_KEY_DISABLED',
          version: 2,
        }),
      ),
  ],
  'a rotation that is blocked by a poison record': [
    '17',
    /only blocks a purge/,
    (s) => value(s, COMPLETED, () => ({ status: 'BLOCKED', blocker: { code: 'QUARANTINED_RECORDS' } })),
  ],
  'a backup that should be gone, and is restored when its version is': [
    '9',
    /backup backup-1 is restored, and people 2 email names a version that is gone/,
    (s) =>
      insert(
        s,
        isItem('certificates', () => true),
        { kind: 'restored', backupId: 'backup-1', restoreId: 'restore-1' },
      ),
  ],
  'an approval too few': [
    '25',
    /has 1 valid approvals of 2/,
    (s) =>
      without(
        s,
        isItem('approvals', ({ approver, at }) => approver === 'cid' && at > '2026-01-01T01'),
      ),
  ],
  'an approval of who asked': [
    '25',
    /has 1 valid approvals of 2/,
    (s) =>
      value(
        s,
        isItem('approvals', ({ approver, at }) => approver === 'cid' && at > '2026-01-01T01'),
        () => ({ approver: 'Ann' }),
      ),
  ],
  'the same person twice': [
    '25',
    /has 1 valid approvals of 2/,
    (s) =>
      value(
        s,
        isItem('approvals', ({ approver, at }) => approver === 'cid' && at > '2026-01-01T01'),
        () => ({ approver: 'BOB' }),
      ),
  ],
  'a request that was changed': [
    '25',
    /is not what its id says/,
    (s) =>
      value(
        s,
        isItem('approvalRequests', ({ action }) => action === 'purge'),
        () => ({ version: 2 }),
      ),
  ],
  'evidence that was changed': [
    '25',
    /has other evidence/,
    (s) =>
      value(
        s,
        isItem('approvalRequests', ({ action }) => action === 'purge'),
        () => ({ evidence: { onVersion: 0 } }),
      ),
  ],
  'an approval that had expired': [
    '25',
    /after its approvals had expired/,
    (s) => s.map((entry, i) => (i < indexOf(s, decided) ? entry : { ...entry, at: entry.at + 4000_000 })),
  ],
  'approvals of another epoch': [
    '25',
    /approvals of another restore epoch/,
    (s) => value(s, decided, () => ({ restoreEpoch: 7 })),
  ],
  'a destruction without approvals': [
    '25',
    /without a request/,
    (s) => version(s, decided, 1, { approvedBy: null }),
  ],
  'approvals that are used twice': [
    '25',
    /which was used before/,
    (s) => {
      const { value: key } = s[indexOf(s, decided)] as Item;
      const again = key as Value;
      const open = {
        ...again,
        versions: { ...again.versions, 1: { ...again.versions[1], destroyAuthorizedAt: null } },
      };
      return insert(insert(s, decided, item('keys', 'key', again)), decided, item('keys', 'key', open));
    },
  ],
  'something given up without approvals': [
    '25',
    /people 1 email is given up without a request/,
    (s) =>
      without(
        s,
        isItem('approvalRequests', ({ action }) => action === 'give-up'),
      ),
  ],
  "a hold of a person's that vanishes": [
    '25',
    /hold hold-1 of acme\/default is released without a request/,
    (s) =>
      value(s, keyWith(2, 'PRE_ACTIVE'), () => ({
        holds: [{ holdId: 'hold-1', versions: [1], reason: 'PERSON', until: null }],
      })),
  ],
  'a hold that is released after its approvals had expired': [
    '25',
    /is released by request .* had expired/,
    (s) => {
      const at = s[indexOf(s, keyWith(2, 'PRE_ACTIVE'))]?.at ?? 0;
      return released(s, { expiresAt: new Date(at - 600_000).toISOString() });
    },
  ],
  'a hold that is released by approvals of another epoch': [
    '25',
    /is released by request .* is of another restore epoch/,
    (s) => released(s, { restoreEpoch: 7 }),
  ],
  'something given up by approvals of another epoch': [
    '25',
    /people 1 email is given up by request .* is of another restore epoch/,
    (s) => {
      const given = isItem('approvalRequests', ({ action }) => action === 'give-up');
      const { value: key } = s.slice(0, indexOf(s, given)).findLast(isItem('keys', () => true)) as Item;
      return insert(s, given, item('keys', 'key', { ...(key as object), restoreEpoch: 7 }));
    },
  ],
  'a destruction that is decided while the root key is disabled, where somebody else was frozen': [
    '22',
    /while its root key cannot be used/,
    (s) =>
      insert(
        insert(s, jobIs(PURGE, 'CENSUS'), { kind: 'root-key', rootKeyId: 'root-1', state: 'DISABLED' }),
        of('config'),
        { kind: 'fault', fault: 'zombie', where: 'sweep#1 ledger.getKey' },
      ),
  ],
  'a destruction that is decided while the root key is disabled': [
    '22',
    /while its root key cannot be used/,
    (s) => insert(s, jobIs(PURGE, 'CENSUS'), { kind: 'root-key', rootKeyId: 'root-1', state: 'DISABLED' }),
  ],
  'a change without its entry': [
    '26',
    /key\/.*\/5 is in no chain/,
    (s) => without(s, auditOf(`key/${KEY_ID}/5`)),
  ],
  'a gap in the chain': ['26', /does not follow on/, (s) => without(s, auditOf(`key/${KEY_ID}/5`))],
  'an entry that was edited': [
    '26',
    /is not what its hash says/,
    (s) => value(s, auditOf(`key/${KEY_ID}/5`), () => ({ actor: 'nobody' })),
  ],
  'an archive that tells of something else': [
    '26',
    /holds what is not in the chain/,
    (s) =>
      change<Extract<HistoryEntry, { kind: 'archived' }>>(s, of('archived'), ({ bytes }) => ({
        bytes: bytesOf(Buffer.from(bytes).toString().replace('test', 'tost')),
      })),
  ],
  'a plaintext in a job': [
    '26',
    /has a plaintext or key bytes/,
    (s) => value(s, COMPLETED, () => ({ note: 'x email of number 2 x' })),
  ],
  'a key in an event': [
    '26',
    /has a plaintext or key bytes/,
    (s) =>
      change(s, of('published'), () => ({
        event: { kek: `x${Buffer.from(kekBytes(1)).toString('base64url')}` },
      })),
  ],
  'a key in the audit, as hex': [
    '26',
    /has a plaintext or key bytes/,
    (s) =>
      value(s, auditOf(`key/${KEY_ID}/5`), () => ({
        detail: { kek: Buffer.from(kekBytes(2)).toString('hex') },
      })),
  ],
  'a read that got something else': [
    '2',
    /got another plaintext/,
    (s) => change(s, of('read'), () => ({ digest: 'ab' })),
  ],
  'a read that was told that it does not fit': [
    '2',
    /was told DECRYPTION_FAILED/,
    (s) => change(s, of('read'), () => ({ code: 'DECRYPTION_FAILED', digest: null })),
  ],
  'a read that was told of a suspension before it was': [
    '2',
    /was told VERSION_STATE/,
    (s) => change(s, of('read'), () => ({ code: 'VERSION_STATE', digest: null })),
  ],
  'a read that was told of a root key that works': [
    '2',
    /was told ROOT_KEY_DISABLED/,
    (s) => change(s, of('read'), () => ({ code: 'ROOT_KEY_DISABLED', digest: null })),
  ],
  'a damaged value that opens': [
    '2',
    /opened what does not open/,
    (s) =>
      change<Extract<HistoryEntry, { kind: 'read' }>>(s, of('read'), ({ envelope }) => ({
        envelope: Uint8Array.from(envelope, (byte, i) => (i === 30 ? byte ^ 1 : byte)),
      })),
  ],
  'a job that goes on for ever': [
    'liveness',
    /is CENSUS still/,
    (s) => without(s, jobIs(PURGE, 'COMPLETED')),
  ],
  'a job that is blocked by nothing': [
    'liveness',
    /BLOCKED by nothing/,
    (s) => value(s, jobIs(PURGE, 'COMPLETED'), () => ({ status: 'BLOCKED' })),
  ],
  'a job that waits for a root key that works': [
    'liveness',
    /waits for a root key that can be used/,
    (s) => value(s, jobIs(PURGE, 'COMPLETED'), () => ({ status: 'PAUSED', pause: { reason: 'ROOT_KEY' } })),
  ],
  'an execution that outlives its job': [
    'liveness',
    /execution rotation-1-1 runs on/,
    (s) => without(s, (entry) => entry.kind === 'execution' && entry.state === 'SUCCEEDED'),
  ],
  'a purge that is left alone when what stopped it is over': [
    'liveness',
    /purge purge-1 .* is BLOCKED by HELD still, 11\.\d h after nothing kept it/,
    (s) => stoppedPurge(s, 'HELD'),
  ],
  'a purge that is left alone when its version is destroyed': [
    'liveness',
    /is BLOCKED by STEP_FAILED still/,
    (s) =>
      value(s, jobIs(PURGE, 'COMPLETED'), () => ({ status: 'BLOCKED', blocker: { code: 'STEP_FAILED' } })),
  ],
  'a rotation that is left alone after a step that failed': [
    'liveness',
    /rotate late .* is BLOCKED by STEP_FAILED still/,
    (s) => insert(s, of('quiet'), blocked('STEP_FAILED', { from: 2 }), true),
  ],
  'a rollback to a version that is destroyed, and nobody ends it': [
    'liveness',
    /is BLOCKED by VERSION_NOT_RETIRING still/,
    (s) => insert(s, of('quiet'), blocked('VERSION_NOT_RETIRING', { goal: 'ROLLBACK', from: 2, to: 1 })),
  ],
  'a step that fails for good when nothing fails any more': [
    'liveness',
    /a step of rotate late .* failed for good/,
    failedInQuiet,
  ],
};

function failedInQuiet(s: Entries): Entries {
  const { at } = s[indexOf(s, of('end'))] as HistoryEntry;
  const failed = insert(s, of('end'), { ...blocked('STEP_FAILED', { from: 2 }), at }, true);
  return insert(failed, jobIs('late', 'BLOCKED'), { ...late({ from: 2 }), at }, true);
}

test('a machine whose clock stands still may refuse a step, in quiet too', () => {
  const fault = { kind: 'fault', fault: 'clock-frozen', where: 'begin-purge#1' } as const;
  const excused = insert(failedInQuiet(cleanStory()), of('quiet'), fault, true);
  expect(check(excused).filter(({ what }) => what.includes('failed for good'))).toEqual([]);
});

/** A rotation that holds no lock. */
const late = (changes: object) =>
  item('jobs', 'late', {
    ...{
      jobId: 'late',
      tenant: 'acme',
      purpose: 'default',
      keyId: KEY_ID,
      kind: 'rotate',
      goal: 'NEW_VERSION',
    },
    ...{ mode: 'rewrap', from: 1, to: 0, attempt: 1, revision: 1, status: 'REQUESTED', blocker: null },
    ...changes,
  });

/** A rotation that was called off, and is asked for again by that process. */
function begunAnew(s: Entries, by: string): Entries {
  const quiet = of('quiet');
  return [
    late({}),
    late({ status: 'CANCELLED', revision: 2 }),
    { ...late({ revision: 3, attempt: 2 }), by },
    late({ status: 'CANCELLED', revision: 4 }),
  ].reduce((story, entry) => insert(story, quiet, entry, true), s);
}

function blocked(code: string, changes: object) {
  return late({ status: 'BLOCKED', blocker: { code, at: '2026-01-01T00:00:00.000Z' }, ...changes });
}

/** A purge that had hardly begun; its version is RETIRING, and held by nobody. */
function stoppedPurge(s: Entries, code: string): Entries {
  const asked = indexOf(s, jobIs(PURGE, 'REQUESTED'));
  const story = s.toSpliced(asked + 1, indexOf(s, of('quiet')) - asked - 1);
  const job = (s[asked] as Item).value as object;
  const blocker = { code, at: new Date((s[asked] as Item).at).toISOString() };
  return insert(
    story,
    jobIs(PURGE, 'REQUESTED'),
    item('jobs', PURGE, { ...job, revision: 2, status: 'BLOCKED', blocker }),
  );
}

for (const [name, [rule, what, make]] of Object.entries(VIOLATIONS)) {
  test(`${rule}: ${name}`, () => {
    const findings = check(make(cleanStory()));
    const found = findings.filter((finding) => finding.rule === rule && what.test(finding.what));
    expect(found, JSON.stringify(findings, null, 1)).not.toEqual([]);
  });
}

/** What looks like a violation and is none. */
const EXCUSES: Record<string, (entries: Entries) => Entries> = {
  'a mark of the canary, which is no revision': (s) => {
    const { value: key } = s[indexOf(s, keyWith(2, 'ACTIVE'))] as Item;
    return insert(
      s,
      keyWith(2, 'ACTIVE'),
      item('keys', 'key', { ...(key as object), canary: { version: 1 } }),
    );
  },
  'a hold that is released by the second request, when the first had come to nothing': (s) =>
    released(s, { by: ['bob'] }, { expiresAt: '2026-01-02T00:00:00.001Z' }, { restoreEpoch: 7 }),
  'a backup that should be gone, and is restored while all of its versions are there': (s) =>
    insert(without(s, of('backup-lapsed')), of('backup'), { kind: 'backup-lapsed', backupId: 'backup-1' }),
  'an application that stood still, before the version is destroyed': (s) =>
    insert(
      insert(
        insert(s, jobIs(ROTATION, 'CENSUS'), recordOf('3', 'application', sealed('3', 1), plaintextsOf('3'))),
        COMPLETED,
        recordOf('3', 'application', sealed('3', 2), plaintextsOf('3')),
      ),
      jobIs(ROTATION, 'BARRIER'),
      { kind: 'fault', fault: 'frozen-application', where: 'app' },
    ),
  'a purge that met resistance: it waits for a person': (s) => stoppedPurge(s, 'VERSION_IN_USE'),
  'a purge that the sweep left alone, on a machine whose clock was wrong': (s) =>
    insert(
      stoppedPurge(s, 'STEP_FAILED'),
      of('quiet'),
      { kind: 'fault', fault: 'clock-frozen', where: 'f' },
      true,
    ),
  'a rotation that waits for another one': (s) => {
    const begun = insert(s, of('quiet'), blocked('KEY_CHANGED', { from: 2, revision: 2 }), true);
    const story = insert(begun, jobIs('late', 'BLOCKED'), late({ from: 2 }), true);
    const { value: key } = story[story.findLastIndex(isItem('keys', () => true))] as Item;
    const taken = { ...(key as Value), rotationId: 'another', revision: (key as Value).revision + 1 };
    return insert(story, of('quiet'), item('keys', 'key', taken), true);
  },
  'a job that a person called off, and another begins anew': (s) => begunAnew(s, 'rotate 4 #1#12'),
  'a purge that was asked for right before the end': (s) =>
    s.filter((entry) => !jobIs(PURGE, 'COMPLETED')(entry) && entry.kind !== 'quiet'),
};

for (const [name, make] of Object.entries(EXCUSES)) {
  test(`clean: ${name}`, () => {
    expect(check(make(cleanStory())).filter(({ what }) => !/is in no chain/.test(what))).toEqual([]);
  });
}

test('findings name the entry that they were seen at', () => {
  const [first] = check(change(cleanStory(), of('read'), () => ({ digest: 'ab' })));
  const read = cleanStory().find(of('read'));
  expect(first?.seq).toBe(read?.seq);
});
