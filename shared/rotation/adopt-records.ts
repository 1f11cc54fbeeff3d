import type { Deps } from '../deps/deps.ts';
import { seal } from '../envelope/index.ts';
import { EnvelopeError } from '../errors/errors.ts';
import type { PlaintextChange, PlaintextRecord, RecordKey } from '../records/record-store.ts';
import { type BatchResult, createWriteFence, type QuarantinedField } from './process-chunk.ts';
import type { Job } from './rotation.ts';

const TRIES = 3;

/** Seals the plaintext of a batch's records into their envelope columns, where those are still empty. */
export async function adoptRecords(
  deps: Deps,
  job: Job,
  recordSet: string,
  records: readonly RecordKey[],
): Promise<BatchResult> {
  const store = deps.recordSets.store(recordSet);
  const quarantined = new Map<string, QuarantinedField>();
  let changed = 0;
  let bytes = 0;
  let keys = records;
  for (let attempt = 0; attempt < TRIES && keys.length > 0; attempt++) {
    const kek = await deps.keyring.active(job.tenant, job.purpose);
    const fence = createWriteFence(deps);
    const changes: PlaintextChange[] = [];
    for (const record of await store.readPlaintext(keys)) {
      if (record === null || record.tenant !== job.tenant) continue;
      const sealed: PlaintextChange['changes'][number][] = [];
      for (const [field, name] of store.fields.entries()) {
        const plaintext = leftToSeal(record, field);
        if (plaintext === null) continue;
        bytes += plaintext.length;
        const context = {
          tenant: record.tenant,
          recordSet: store.recordSet,
          recordId: record.key,
          field: name,
        };
        try {
          sealed.push({ field, plaintext, envelope: seal(plaintext, kek, context, deps.random) });
        } catch (error) {
          if (!(error instanceof EnvelopeError)) throw error;
          const failed = { key: record.key, field: name, code: error.code, version: null };
          quarantined.set(JSON.stringify([record.key, name]), failed);
        }
      }
      if (sealed.length > 0) changes.push({ key: record.key, tenant: record.tenant, changes: sealed });
    }
    if (changes.length === 0) break;
    fence.assertFresh();
    const filled = await store.fill(changes);
    changed += filled.filter((outcome) => outcome === 'replaced').length;
    keys = changes.filter((_, i) => filled[i] === 'conflict').map(({ key }) => key);
  }
  return { changed, quarantined: [...quarantined.values()], bytes };
}

function leftToSeal(record: PlaintextRecord, field: number): Uint8Array | null {
  const plaintext = record.plaintext[field] ?? null;
  const value = record.values[field] ?? null;
  return value === null ? plaintext : null;
}
