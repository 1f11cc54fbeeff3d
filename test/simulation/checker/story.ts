import { createHash } from 'node:crypto';
import { requestIdOf } from '../../../shared/approvals/binding.ts';
import { linkEntry } from '../../../shared/audit/chain.ts';
import { jobEventId, keyEventId, restoreEventId } from '../../../shared/audit/describe.ts';
import type { AuditEntry } from '../../../shared/audit/entry.ts';
import { writeSegment } from '../../../shared/audit/segment.ts';
import { createKek, type Kek, makeTombstone, rewrap, seal } from '../../../shared/envelope/index.ts';
import { authorizeDestroy, beginDestroy, finishDestroy } from '../../../shared/keyring/destruction.ts';
import { endRestoreHold, holdForRestore, withoutHold } from '../../../shared/keyring/holds.ts';
import type { TenantKey } from '../../../shared/keyring/key.ts';
import { keyCheck } from '../../../shared/keyring/key-check.ts';
import { resumeVersion, suspendVersion } from '../../../shared/keyring/suspension.ts';
import {
  activateVersion,
  addVersion,
  createTenantKey,
  lockKey,
  proveVersion,
  retireFrom,
} from '../../../shared/keyring/versions.ts';
import { digestOf } from '../../../shared/signing/canonical-json.ts';
import type { HappenedEvent, HistoryEntry } from '../../../simulation/history.ts';

/**
 * A history in which all goes well: a rotation, a restore, a value that is given up, a root key that is disabled for a while,
 * and a purge with its approvals. Written with the project's own code, so that the checker's reading is held to it.
 */

export const KEY_ID = '01900000-0000-7000-8000-000000000001';
const TENANT = 'acme';
const ROOT = 'root-1';
const FIELDS = ['email', 'phone'];
const START = Date.UTC(2026, 0, 1);
export const ROTATION = 'rotation-1';
export const PURGE = 'purge-1';

const random = (buffer: Uint8Array) => void buffer.fill(++draws % 251);
let draws = 0;

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}

interface Story {
  readonly entries: HistoryEntry[];
  now: number;
  key: TenantKey | null;
  readonly jobs: Map<string, Record<string, unknown>>;
  readonly chains: Map<string, AuditEntry[]>;
}

/** Seconds since the start, for times in items. */
function at(story: Story): string {
  return new Date(story.now).toISOString();
}

function add(story: Story, event: HappenedEvent): void {
  story.now += 10;
  story.entries.push({ seq: story.entries.length, at: story.now, ...event });
}

function pass(story: Story, seconds: number): void {
  story.now += seconds * 1000;
}

function item(story: Story, kind: string, id: string, value: unknown): void {
  add(story, { kind: 'item', item: kind, id, value, by: 'function:test' });
}

function record(story: Story, eventId: string, tenant = TENANT): void {
  const chain = story.chains.get(tenant) ?? [];
  story.chains.set(tenant, chain);
  const event = { eventId, at: at(story), actor: 'function:test', type: 'test', detail: {} };
  const entry = linkEntry(tenant, event, { last: chain.length, hash: chain.at(-1)?.hash ?? null });
  chain.push(entry);
  item(story, 'audit', `${tenant}/${entry.sequence}`, entry);
}

function commitKey(story: Story, key: TenantKey): void {
  story.key = key;
  item(story, 'keys', 'key', key);
  record(story, keyEventId(key));
}

function changeKey(story: Story, change: (key: TenantKey) => TenantKey): void {
  if (story.key === null) throw new Error('no key');
  commitKey(story, change(story.key));
}

function commitJob(story: Story, jobId: string, changes: Record<string, unknown>): void {
  const before = story.jobs.get(jobId) ?? { jobId, tenant: TENANT, keyId: KEY_ID, revision: 0 };
  const job = { ...before, ...changes, revision: Number(before['revision']) + 1 };
  story.jobs.set(jobId, job);
  item(story, 'jobs', jobId, job);
  record(story, jobEventId({ jobId, revision: job.revision }));
}

function kekOf(version: number): Kek {
  return createKek({ keyId: KEY_ID, version, key: kekBytes(version) });
}

function checkOf(version: number): string {
  return keyCheck(kekOf(version).key, KEY_ID, version);
}

export function kekBytes(version: number): Uint8Array {
  return createHash('sha256').update(`kek ${version}`).digest();
}

export function placeOf(id: string, field: number) {
  return { tenant: TENANT, recordSet: 'people', recordId: [id], field: FIELDS[field] ?? '' };
}

export function plaintextsOf(id: string): Uint8Array[] {
  return FIELDS.map((field) => bytesOf(`${field} of number ${id}`));
}

export function sealed(id: string, version: number): Uint8Array[] {
  return plaintextsOf(id).map((text, i) => seal(text, kekOf(version), placeOf(id, i), random));
}

function write(story: Story, id: string, version: number): Uint8Array[] {
  const values = sealed(id, version);
  const plaintexts = plaintextsOf(id);
  add(story, recordOf(id, 'application', values, plaintexts));
  return values;
}

export function recordOf(
  id: string,
  cause: 'application' | 'pipeline' | 'restore' | 'damage' | 'give-up',
  values: (Uint8Array | null)[],
  plaintexts: Uint8Array[] | null = null,
): Extract<HappenedEvent, { kind: 'record' }> {
  return {
    kind: 'record',
    recordSet: 'people',
    id: [id],
    tenant: TENANT,
    values,
    cause,
    plaintexts,
    by: 'test',
  };
}

export function rewrapped(values: readonly Uint8Array[], from: number, to: number): Uint8Array[] {
  return values.map((value) => Uint8Array.from(rewrap(value, kekOf(from), kekOf(to))));
}

/** Makes the whole story anew each time: the same bytes. */
export function cleanStory(): HistoryEntry[] {
  draws = 0;
  const story: Story = { entries: [], now: START, key: null, jobs: new Map(), chains: new Map() };
  begin(story);
  const values = restore(story);
  disable(story);
  const current = rotate(story, values);
  giveUp(story, current);
  purge(story);
  archive(story);
  pass(story, 60);
  add(story, { kind: 'quiet' });
  pass(story, 12 * 3600);
  add(story, { kind: 'end' });
  return story.entries;
}

function begin(story: Story): void {
  add(story, {
    kind: 'config',
    tenants: [TENANT],
    recordSets: { people: { store: 'main', purpose: 'default', fields: FIELDS } },
    rotation: {
      cacheMaxAgeSeconds: 60,
      cacheCeilingSeconds: 120,
      clockSkewSeconds: 5,
      maxTransactionSeconds: 10,
      graceSeconds: 3600,
      soakSeconds: 600,
      stallSeconds: 60,
      maxRounds: 3,
    },
    approvalsRequired: 2,
  });
  addKek(story, 1);
  const key = { keyId: KEY_ID, tenant: TENANT, purpose: 'default' };
  commitKey(story, createTenantKey(key, { wrapped: wrapped(), provider: 'test', at: at(story) }));
  changeKey(story, (before) => proveVersion(before, 1, checkOf(1), at(story)));
  changeKey(story, (before) => activateVersion(before, 1, at(story), null));
  write(story, '2', 1);
}

function addKek(story: Story, version: number): void {
  const kek = kekBytes(version);
  add(story, { kind: 'kek', tenant: TENANT, purpose: 'default', keyId: KEY_ID, version, kek });
}

function wrapped() {
  return { rootKeyId: ROOT, materialId: null, wrapped: new Uint8Array(4) };
}

function restore(story: Story): Uint8Array[] {
  const values = write(story, '1', 1);
  add(story, { kind: 'backup', backupId: 'backup-1', store: 'main' });
  write(story, '1', 1);
  const item1 = { restoreId: 'restore-1', store: 'main' };
  const commit = (status: string, revision: number) => {
    item(story, 'restores', 'restore-1', { ...item1, status, revision });
    record(story, restoreEventId({ restoreId: 'restore-1', revision }), '');
  };
  commit('BEGUN', 1);
  changeKey(story, (key) =>
    holdForRestore(key, {
      ...{ holdId: 'restore-1', versions: [1], reason: 'RESTORE', store: 'main', note: null },
      ...{ by: 'person:ann', at: at(story), until: null, endedEpoch: null },
    }),
  );
  commit('READY', 2);
  add(story, { kind: 'restored', backupId: 'backup-1', restoreId: 'restore-1' });
  add(story, recordOf('1', 'restore', values));
  commit('ENDED', 3);
  changeKey(story, (key) => endRestoreHold(key, 'restore-1'));
  resweep(story);
  add(story, { kind: 'backup-lapsed', backupId: 'backup-1' });
  return values;
}

/** Begins after the end of the restore, and frees what it holds. */
function resweep(story: Story): void {
  const job = { kind: 'rotate', goal: 'RESWEEP', mode: 'rewrap', from: 1, to: 1, attempt: 1 };
  const { restoreEpoch } = story.key ?? {};
  commitJob(story, 'resweep-1', { ...job, restoreEpoch, status: 'REQUESTED', blocker: null, pause: null });
  changeKey(story, (key) => lockKey(key, { rotationId: 'resweep-1', leaves: 1, to: 1 }));
  commitJob(story, 'resweep-1', { status: 'CENSUS' });
  changeKey(story, (key) => ({ ...withoutHold(key, 'restore-1'), rotationId: null }));
  commitJob(story, 'resweep-1', { status: 'COMPLETED' });
}

/** The tenant's root key is out of use for a while. */
function disable(story: Story): void {
  const [envelope = new Uint8Array()] = sealed('1', 1);
  const digest = createHash('sha256')
    .update(plaintextsOf('1')[0] ?? '')
    .digest('hex');
  const read = { kind: 'read', recordSet: 'people', id: ['1'], field: 'email', envelope, by: 'app' } as const;
  add(story, { ...read, code: null, digest });
  add(story, { kind: 'fault', fault: 'ledger-throttled', where: 'app ledger.getKey' });
  add(story, { ...read, code: 'LEDGER_UNAVAILABLE', digest: null });
  add(story, { kind: 'root-key', rootKeyId: ROOT, state: 'DISABLED' });
  const suspended = { reason: 'ROOT_KEY', rootKeyId: ROOT, at: at(story) } as const;
  changeKey(story, (key) => suspendVersion(key, 1, suspended));
  add(story, { ...read, code: 'VERSION_STATE', digest: null });
  add(story, { kind: 'root-key', rootKeyId: ROOT, state: 'ENABLED' });
  changeKey(story, (key) => resumeVersion(key, 1));
}

function rotate(story: Story, values: readonly Uint8Array[]): Uint8Array[] {
  const job = { kind: 'rotate', goal: 'NEW_VERSION', mode: 'rewrap', from: 1, to: 0, attempt: 1 };
  commitJob(story, ROTATION, { ...job, status: 'REQUESTED', blocker: null, pause: null });
  add(story, { kind: 'execution', machine: 'rotate-key', name: `${ROTATION}-1`, state: 'STARTED' });
  commitJob(story, ROTATION, { status: 'PREPARING' });
  addKek(story, 2);
  changeKey(story, (key) =>
    addVersion(key, { wrapped: wrapped(), provider: 'test', at: at(story), rotationId: ROTATION, leaves: 1 }),
  );
  changeKey(story, (key) => proveVersion(key, 2, checkOf(2), at(story)));
  changeKey(story, (key) => activateVersion(key, 2, at(story), ROTATION));
  commitJob(story, ROTATION, { status: 'SWEEPING', to: 2 });
  const page = pageOf([], 0);
  item(story, 'pages', 'page', page);
  const next = rewrapped(values, 1, 2);
  add(story, recordOf('1', 'pipeline', next));
  write(story, '2', 2);
  item(story, 'pages', 'page', pageOf([0], 2));
  item(story, 'segments', 'segment', segmentOf(1));
  commitJob(story, ROTATION, { status: 'BARRIER' });
  pass(story, 80);
  commitJob(story, ROTATION, { status: 'CENSUS' });
  item(story, 'censuses', 'census', { jobId: ROTATION, census: 'attempt-1-round-1' });
  changeKey(story, (key) =>
    retireFrom(key, 1, {
      purgeNotBefore: new Date(story.now + 3605_000).toISOString(),
      rotationId: ROTATION,
    }),
  );
  commitJob(story, ROTATION, { status: 'COMPLETED' });
  add(story, { kind: 'published', event: { type: 'KeyRotationCompleted', detail: { tenant: TENANT } } });
  add(story, { kind: 'execution', machine: 'rotate-key', name: `${ROTATION}-1`, state: 'SUCCEEDED' });
  return next;
}

export function pageOf(done: number[], skipped: number) {
  return {
    plan: {
      jobId: ROTATION,
      round: 1,
      segment: 0,
      page: 0,
      chunks: [{ records: 2, until: 'x' }],
      next: null,
    },
    planned: 2,
    done,
    rewrapped: 0,
    skipped,
    quarantined: 0,
  };
}

export function segmentOf(lowWater: number) {
  const place = { jobId: ROTATION, round: 1, segment: 0, lowWater };
  return { ...place, planned: 2, rewrapped: 0, skipped: 2, quarantined: 0, finished: true };
}

/** Record 1's email is damaged, set aside and given up; its phone stays. */
function giveUp(story: Story, [email = new Uint8Array(), phone = new Uint8Array()]: Uint8Array[]): void {
  const damaged = Uint8Array.from(email);
  damaged[30] = (damaged[30] ?? 0) ^ 1;
  add(story, recordOf('1', 'damage', [damaged, phone]));
  const quarantined = {
    ...{ keyId: KEY_ID, tenant: TENANT, recordSet: 'people', recordId: ['1'], field: 'email' },
    ...{ code: 'DECRYPTION_FAILED', version: 2 },
  };
  item(story, 'quarantined', 'quarantined-1', quarantined);
  const evidence = {
    field: 'email',
    sha256: createHash('sha256').update(damaged).digest('base64url'),
  };
  const requestId = approve(story, 'give-up', 2, evidence);
  const stone = makeTombstone({ keyId: KEY_ID, version: 2, at: at(story), requestId });
  add(story, recordOf('1', 'give-up', [stone, phone]));
  item(story, 'quarantined', 'quarantined-1', null);
}

/** Asked for by the sweep, agreed to by two. */
function approve(story: Story, action: 'purge' | 'give-up', version: number, evidence: object): string {
  const binding = {
    action,
    tenant: TENANT,
    purpose: 'default',
    keyId: KEY_ID,
    version,
    restoreEpoch: story.key?.restoreEpoch ?? 0,
    subject: digestOf(evidence),
    expiresAt: new Date(story.now + 3600_000).toISOString(),
    requestedBy: 'person:ann',
  };
  const requestId = requestIdOf(binding);
  item(story, 'approvalRequests', requestId, { ...binding, requestId, requestedAt: at(story), evidence });
  record(story, `approval-request/${requestId}`);
  for (const approver of ['bob', 'cid']) {
    const approval = { requestId, approver, breakGlass: false, at: at(story), jws: 'jws' };
    item(story, 'approvals', `${requestId}/${approver}`, approval);
    record(story, `approval/${requestId}/${approver}`);
  }
  return requestId;
}

function purge(story: Story): void {
  pass(story, 3700);
  const job = { kind: 'purge', goal: 'NEW_VERSION', mode: 'rewrap', from: 1, to: 0, attempt: 1 };
  commitJob(story, PURGE, { ...job, status: 'REQUESTED', blocker: null, pause: null });
  changeKey(story, (key) => beginDestroy(key, 1, at(story)));
  commitJob(story, PURGE, { status: 'CENSUS' });
  pass(story, 700);
  item(story, 'censuses', 'census-2', { jobId: PURGE, census: 'attempt-1-round-1' });
  const census = {
    takenAt: at(story),
    onVersion: 0,
    coverage: {
      people: { values: 4, versions: { 2: 3 }, foreign: 0, malformed: 0, tombstones: 1, others: 0 },
    },
  };
  const approvedBy = approve(story, 'purge', 1, census);
  const agreement = { required: 2, approvers: ['bob', 'cid'] };
  const restoreEpoch = story.key?.restoreEpoch ?? 0;
  changeKey(story, (key) => authorizeDestroy(key, 1, { at: at(story), restoreEpoch, approvedBy, agreement }));
  changeKey(story, (key) => finishDestroy(key, 1, at(story)));
  item(story, 'certificates', 'certificate', certificateOf(census));
  record(story, `certificate/${KEY_ID}/1`);
  commitJob(story, PURGE, { status: 'COMPLETED' });
}

export function certificateOf(census: object) {
  const records = { planned: 2, rewrapped: 0, skipped: 2, quarantined: 0, remaining: 0 };
  const said = { keyId: KEY_ID, version: 1, census, rotations: [{ records }] };
  const jws = `e30.${Buffer.from(JSON.stringify(said)).toString('base64url')}.AA`;
  return { tenant: TENANT, purpose: 'default', keyId: KEY_ID, version: 1, issuedAt: '', jws };
}

function archive(story: Story): void {
  const bytes = writeSegment(story.chains.get(TENANT) ?? []);
  add(story, { kind: 'archived', name: 'acme/0000000001-0000000050.jsonl', bytes });
}
