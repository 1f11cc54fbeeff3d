import type { Deps } from '../deps/deps.ts';
import { versionAt } from '../envelope/format.ts';
import {
  inspect,
  type Kek,
  KID_FROM_END,
  type RewrapOutcome,
  reencryptBatch,
  rewrapBatch,
} from '../envelope/index.ts';
import { EnvelopeError, KeyError } from '../errors/errors.ts';
import type { RecordRef } from '../keyring/keyring.ts';
import { seenBySweep } from '../keyring/sightings.ts';
import type {
  AdoptableStore,
  Frame,
  FrameChange,
  RecordKey,
  ReplaceOutcome,
} from '../records/record-store.ts';
import { changeKey, getKey, timestamp } from './change.ts';
import { type BatchResult, createWriteFence, type QuarantinedField } from './process-chunk.ts';
import { isRunning, type Job } from './rotation.ts';

/** A record that the application changes again and again is left to the next sweep. */
const TRIES = 3;

/** What it needs of the worker's dependencies and of the job. */
export type RewrapDeps = Pick<Deps, 'clock' | 'config' | 'keyring' | 'ledger' | 'random' | 'recordSets'>;
export type RewrapJob = Pick<Job, 'jobId' | 'tenant' | 'purpose' | 'from' | 'to' | 'mode' | 'status'>;

/** The values of one record, a frame a field; null where there is none. Of a re-encryption each frame is the whole value. */
interface Row {
  readonly key: RecordKey;
  readonly tenant: string;
  readonly frames: readonly (Frame | null)[];
}

/** Brings a batch's records to the key's active version, as it is now. */
export async function rewrapRecords(
  deps: RewrapDeps,
  job: RewrapJob,
  recordSet: string,
  records: readonly RecordKey[],
): Promise<BatchResult> {
  const store = deps.recordSets.store(recordSet);
  const quarantined = new Map<string, QuarantinedField>();
  let changed = 0;
  let bytes = 0;
  let keys = records;
  for (let attempt = 0; attempt < TRIES && keys.length > 0; attempt++) {
    const target = await activeVersion(deps, job);
    const fence = createWriteFence(deps);
    // Rows that are gone or moved to another tenant are none of this job's.
    const rows = (await readRows(store, job, keys)).filter(({ tenant }) => tenant === job.tenant);
    for (const { frames } of rows) for (const frame of frames) bytes += frame?.bytes.length ?? 0;
    const outcomes = await convert(deps, job, store, rows, target);
    const { changes, failed } = sortOutcomes(rows, outcomes, store);
    // What was read too long ago says nothing of what stands there now: its version may be gone since.
    if (failed.length > 0) fence.assertFresh();
    for (const field of failed) quarantined.set(JSON.stringify([field.key, field.field]), field);
    if (changes.length === 0) break;
    await tellRetired(deps, job, changes);
    fence.assertFresh();
    const replaced = await writeChanges(store, job, changes, fence.notAfter);
    changed += replaced.filter((outcome) => outcome === 'replaced').length;
    // An application wrote in between, and its write stands: look again at what it wrote.
    keys = changes.filter((_, i) => replaced[i] === 'conflict').map(({ key }) => key);
  }
  return { changed, quarantined: [...quarantined.values()], bytes };
}

/**
 * The key's active version as it is now. A warm process may still have the version cached that the rotation leaves,
 * and would find every record current.
 */
async function activeVersion(deps: RewrapDeps, job: RewrapJob): Promise<Kek> {
  const cached = await deps.keyring.active(job.tenant, job.purpose);
  if (cached.version === job.to) return cached;
  // A late chunk of a rotation that others have followed; or after a rollback, which goes to a lower number.
  const { active } = await getKey(deps, job.tenant, job.purpose);
  if (cached.version === active) return cached;
  deps.keyring.clear();
  return deps.keyring.active(job.tenant, job.purpose);
}

/**
 * Before the write: whatever is on a version that was retired before came to light only now, so that the backups of until
 * now need it. The version that a running rotation leaves is not retired yet.
 */
async function tellRetired(deps: RewrapDeps, job: RewrapJob, rows: readonly FrameChange[]): Promise<void> {
  const found = new Set<number>();
  for (const { changes } of rows) {
    for (const { before } of changes) found.add(versionAt(before.bytes, before.bytes.length));
  }
  if (isRunning(job.status)) found.delete(job.from);
  if (found.size === 0) return;
  const at = timestamp(deps.clock.now());
  await changeKey(deps, job.tenant, job.purpose, (key) => seenBySweep(key, job.jobId, [...found], at));
}

/** A rewrap moves recipients only; a re-encryption needs the ciphertexts too. */
async function readRows(store: AdoptableStore, job: RewrapJob, keys: readonly RecordKey[]): Promise<Row[]> {
  if (job.mode === 'rewrap') return (await store.readFrames(keys)).filter((record) => record !== null);
  return (await store.read(keys))
    .filter((record) => record !== null)
    .map(({ key, tenant, values }) => {
      return { key, tenant, frames: values.map((bytes) => bytes && { bytes, omitted: 0 }) };
    });
}

async function writeChanges(
  store: AdoptableStore,
  job: RewrapJob,
  rows: readonly FrameChange[],
  notAfter: number,
): Promise<readonly ReplaceOutcome[]> {
  if (job.mode === 'rewrap') return store.replaceFrames(rows, notAfter);
  return store.replace(
    rows.map(({ key, tenant, changes }) => ({
      key,
      tenant,
      changes: changes.map(({ field, before, after }) => ({
        field,
        before: before.bytes,
        after: after.bytes,
      })),
    })),
    notAfter,
  );
}

async function convert(
  deps: RewrapDeps,
  job: RewrapJob,
  store: AdoptableStore,
  rows: readonly Row[],
  target: Kek,
): Promise<readonly RewrapOutcome[]> {
  const sources = await sourceKeks(deps, job, await versionsToLeave(deps, job, store, rows, target));
  if (job.mode === 'rewrap') {
    const frames = rows.flatMap((row) => row.frames.filter((frame) => frame !== null));
    return rewrapBatch(
      frames.map(({ bytes }) => bytes),
      sources,
      target,
      frames.map(({ omitted }) => omitted),
    );
  }
  const items = rows.flatMap(({ key, tenant, frames }) =>
    frames.flatMap((frame, field) => {
      if (frame === null) return [];
      const context = { tenant, recordSet: store.recordSet, recordId: key, field: fieldName(store, field) };
      return [{ envelope: frame.bytes, context }];
    }),
  );
  return reencryptBatch(items, sources, target, deps.random);
}

/**
 * The versions other than the target that the values name, each with the first value that does. A record goes to a lower
 * number only where that is the active version, as the ledger says now: after a rollback. Else this worker's cache is
 * older than the record, and the chunk is tried again. A number that was never active is no version of a record: it is
 * the record that is wrong.
 */
async function versionsToLeave(
  deps: RewrapDeps,
  job: RewrapJob,
  store: AdoptableStore,
  rows: readonly Row[],
  target: Kek,
): Promise<ReadonlyMap<number, RecordRef>> {
  const named = namedVersions(rows, store, target);
  const later = [...named.keys()].filter((version) => version > target.version);
  if (later.length === 0) return named;
  const { active, versions } = await getKey(deps, job.tenant, job.purpose);
  for (const version of later) {
    if ((versions[String(version)]?.activatedAt ?? null) === null) named.delete(version);
    else if (active !== target.version) {
      deps.keyring.clear();
      const message = 'A record is on a later version than this worker knows';
      throw new KeyError('KEY_UNAVAILABLE', message, { retryable: true });
    }
  }
  return named;
}

function namedVersions(rows: readonly Row[], store: AdoptableStore, target: Kek): Map<number, RecordRef> {
  const versions = new Map<number, RecordRef>();
  for (const { key, frames } of rows) {
    for (const [field, frame] of frames.entries()) {
      const version = frame === null ? null : versionOfKey(frame.bytes, target.kid);
      if (version === null || version === target.version || versions.has(version)) continue;
      versions.set(version, { recordSet: store.recordSet, recordId: key, field: fieldName(store, field) });
    }
  }
  return versions;
}

/** The KEKs of the versions that the values name. A version that cannot be had leaves its values to fail alone. */
async function sourceKeks(
  deps: RewrapDeps,
  job: RewrapJob,
  versions: ReadonlyMap<number, RecordRef>,
): Promise<Kek[]> {
  const keks: Kek[] = [];
  for (const [version, where] of versions) {
    try {
      keks.push(await deps.keyring.version(job.tenant, job.purpose, version, 'rewrap', where));
    } catch (error) {
      const unusable =
        error instanceof KeyError &&
        (error.code === 'VERSION_NOT_FOUND' || error.code === 'VERSION_DESTROYED');
      if (!unusable) throw error;
    }
  }
  return keks;
}

const KEY_ID_LENGTH = 16;

/** The version at the place where an envelope has it, when it names this key. The batch checks everything else. */
function versionOfKey(bytes: Uint8Array, kid: Uint8Array): number | null {
  const start = bytes.length - KID_FROM_END;
  if (start < 0) return null;
  for (let i = 0; i < KEY_ID_LENGTH; i++) if (bytes[start + i] !== kid[i]) return null;
  return versionAt(bytes, bytes.length);
}

/** What a whole envelope names; null for what is none. */
export function namedVersion(envelope: Uint8Array): { keyId: string; version: number } | null {
  try {
    const { keyId, version } = inspect(envelope);
    return { keyId, version };
  } catch (error) {
    if (error instanceof EnvelopeError) return null;
    throw error;
  }
}

/** The outcomes are those of the rows' frames, in order. */
function sortOutcomes(
  rows: readonly Row[],
  outcomes: readonly RewrapOutcome[],
  store: AdoptableStore,
): { changes: FrameChange[]; failed: QuarantinedField[] } {
  const failed: QuarantinedField[] = [];
  const changed: FrameChange[] = [];
  let next = 0;
  for (const { key, tenant, frames } of rows) {
    const changes: FrameChange['changes'][number][] = [];
    for (const [field, before] of frames.entries()) {
      if (before === null) continue;
      const outcome = outcomes[next++];
      if (outcome?.status === 'rewrapped') {
        changes.push({ field, before, after: { bytes: outcome.envelope, omitted: before.omitted } });
      } else if (outcome?.status === 'failed' && outcome.code !== 'RECORD_TOMBSTONED') {
        const code = outcome.code === 'VERSION_NEWER' ? 'VERSION_UNKNOWN' : outcome.code;
        // Where a malformed value names a version cannot be told.
        const version = code === 'ENVELOPE_MALFORMED' ? null : versionAt(before.bytes, before.bytes.length);
        failed.push({ key, field: fieldName(store, field), code, version });
      }
    }
    if (changes.length > 0) changed.push({ key, tenant, changes });
  }
  return { changes: changed, failed };
}

function fieldName(store: AdoptableStore, index: number): string {
  const name = store.fields[index];
  if (name === undefined) throw new RangeError(`Record set ${store.recordSet} has no field ${index}`);
  return name;
}
