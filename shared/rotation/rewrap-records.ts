import type { Deps } from '../deps/deps.ts';
import {
  inspect,
  type Kek,
  KID_FROM_END,
  type RewrapOutcome,
  reencryptBatch,
  rewrapBatch,
} from '../envelope/index.ts';
import { EnvelopeError, KeyError } from '../errors/errors.ts';
import type { ChunkMessage } from '../queue/work-queue.ts';
import type {
  AdoptableStore,
  FieldChange,
  RecordChange,
  RecordKey,
  StoredRecord,
} from '../records/record-store.ts';
import { getKey } from './change.ts';
import { type ChunkResult, createWriteFence, type QuarantinedField } from './process-chunk.ts';
import type { Job } from './rotation.ts';

/** A record that the application changes again and again is left to the next sweep. */
const TRIES = 3;

interface Value {
  readonly record: StoredRecord;
  readonly field: number;
  readonly envelope: Uint8Array;
}

/** Brings a chunk's records to the key's active version, as it is now. */
export async function rewrapRecords(deps: Deps, job: Job, message: ChunkMessage): Promise<ChunkResult> {
  const store = deps.recordSets.store(message.recordSet);
  const quarantined = new Map<string, QuarantinedField>();
  let changed = 0;
  let keys: readonly RecordKey[] = message.keys;
  for (let attempt = 0; attempt < TRIES && keys.length > 0; attempt++) {
    const fence = createWriteFence(deps);
    const target = await activeVersion(deps, job);
    const values = ownValues(await store.read(keys), job.tenant);
    const outcomes = await convert(deps, job, store, values, target);
    const { changes, failed } = sortOutcomes(values, outcomes, store);
    for (const field of await explainNewer(deps, job, failed))
      quarantined.set(JSON.stringify([field.key, field.field]), field);
    if (changes.length === 0) break;
    fence.assertFresh();
    const replaced = await store.replace(changes);
    changed += replaced.filter((outcome) => outcome === 'replaced').length;
    // An application wrote in between, and its write stands: look again at what it wrote.
    keys = changes.filter((_, i) => replaced[i] === 'conflict').map(({ key }) => key);
  }
  return { changed, quarantined: [...quarantined.values()] };
}

/**
 * The key's active version as it is now. A warm process may still have the version cached that the rotation leaves,
 * and would find every record current.
 */
async function activeVersion(deps: Deps, job: Job): Promise<Kek> {
  const cached = await deps.keyring.active(job.tenant, job.purpose);
  if (cached.version >= job.to) return cached;
  deps.keyring.clear();
  return deps.keyring.active(job.tenant, job.purpose);
}

/** Rows that are gone or moved to another tenant are none of this job's. */
function ownValues(records: readonly (StoredRecord | null)[], tenant: string): Value[] {
  const values: Value[] = [];
  for (const record of records) {
    if (record === null || record.tenant !== tenant) continue;
    for (const [field, envelope] of record.values.entries()) {
      if (envelope !== null) values.push({ record, field, envelope });
    }
  }
  return values;
}

async function convert(
  deps: Deps,
  job: Job,
  store: AdoptableStore,
  values: readonly Value[],
  target: Kek,
): Promise<readonly RewrapOutcome[]> {
  const sources = await sourceKeks(deps, job, values, target);
  if (job.mode === 'rewrap') {
    return rewrapBatch(
      values.map(({ envelope }) => envelope),
      sources,
      target,
    );
  }
  const items = values.map(({ record, field, envelope }) => ({
    envelope,
    context: {
      tenant: record.tenant,
      recordSet: store.recordSet,
      recordId: record.key,
      field: fieldName(store, field),
    },
  }));
  return reencryptBatch(items, sources, target, deps.random);
}

/** The KEKs of the versions that the values name. A version that cannot be had leaves its values to fail alone. */
async function sourceKeks(deps: Deps, job: Job, values: readonly Value[], target: Kek): Promise<Kek[]> {
  const versions = new Set<number>();
  for (const { envelope } of values) {
    const version = versionOfKey(envelope, target.kid);
    if (version !== null && version < target.version) versions.add(version);
  }
  const keks: Kek[] = [];
  for (const version of versions) {
    try {
      keks.push(await deps.keyring.version(job.tenant, job.purpose, version, 'rewrap'));
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
function versionOfKey(envelope: Uint8Array, kid: Uint8Array): number | null {
  const start = envelope.length - KID_FROM_END;
  if (start < 0) return null;
  for (let i = 0; i < KEY_ID_LENGTH; i++) if (envelope[start + i] !== kid[i]) return null;
  return new DataView(envelope.buffer, envelope.byteOffset + start + KEY_ID_LENGTH, 4).getUint32(0);
}

export function namedVersion(envelope: Uint8Array): { keyId: string; version: number } | null {
  try {
    const { keyId, version } = inspect(envelope);
    return { keyId, version };
  } catch (error) {
    if (error instanceof EnvelopeError) return null;
    throw error;
  }
}

function sortOutcomes(
  values: readonly Value[],
  outcomes: readonly RewrapOutcome[],
  store: AdoptableStore,
): { changes: RecordChange[]; failed: QuarantinedField[] } {
  const failed: QuarantinedField[] = [];
  const byRecord = new Map<StoredRecord, FieldChange[]>();
  for (const [i, { record, field, envelope }] of values.entries()) {
    const outcome = outcomes[i];
    if (outcome?.status === 'rewrapped') {
      const changes = byRecord.get(record);
      const change = { field, before: envelope, after: outcome.envelope };
      if (changes === undefined) byRecord.set(record, [change]);
      else changes.push(change);
    } else if (outcome?.status === 'failed') {
      const version = namedVersion(envelope)?.version ?? null;
      failed.push({ key: record.key, field: fieldName(store, field), code: outcome.code, version });
    }
  }
  const changes = [...byRecord].map(([{ key, tenant }, fields]) => ({ key, tenant, changes: fields }));
  return { changes, failed };
}

/**
 * A version above the target is either later than this worker has cached, and then the chunk is tried again with a
 * fresh cache, or one that the key never had, and then it is the record that is wrong.
 */
async function explainNewer(
  deps: Deps,
  job: Job,
  failed: readonly QuarantinedField[],
): Promise<readonly QuarantinedField[]> {
  if (!failed.some(({ code }) => code === 'VERSION_NEWER')) return failed;
  const { versions } = await getKey(deps, job.tenant, job.purpose);
  return failed.map((field) => {
    if (field.code !== 'VERSION_NEWER') return field;
    if (field.version !== null && Object.hasOwn(versions, String(field.version))) {
      deps.keyring.clear();
      const message = 'A record is on a later version than this worker knows';
      throw new KeyError('KEY_UNAVAILABLE', message, { retryable: true });
    }
    return { ...field, code: 'VERSION_UNKNOWN' };
  });
}

function fieldName(store: AdoptableStore, index: number): string {
  const name = store.fields[index];
  if (name === undefined) throw new RangeError(`Record set ${store.recordSet} has no field ${index}`);
  return name;
}
