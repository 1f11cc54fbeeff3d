import type { Deps } from '../../shared/deps/deps.ts';
import { inspect, open } from '../../shared/envelope/index.ts';
import { EnvelopeError, RecordStoreError } from '../../shared/errors/errors.ts';
import type { PlaintextRecord } from '../../shared/records/record-store.ts';

/**
 * Makes the check that comes before plaintext is dropped: every plaintext value must be what its envelope opens to.
 * It throws PLAINTEXT_DIFFERS, naming the record and the field, never a value.
 */
export function createPlaintextCheck(
  deps: Pick<Deps, 'keyring' | 'recordSets'>,
  recordSet: string,
): (records: readonly PlaintextRecord[]) => Promise<void> {
  const { fields } = deps.recordSets.store(recordSet);
  const { purpose } = deps.recordSets.config(recordSet);
  return async (records) => {
    for (const record of records) {
      for (const [i, field] of fields.entries()) {
        const plaintext = record.plaintext[i] ?? null;
        if (plaintext === null) continue;
        const envelope = record.values[i] ?? null;
        if (envelope === null) throw differs(recordSet, record, field, 'has no envelope yet');
        const opened = await openValue(deps, purpose, { recordSet, record, field, envelope });
        const same = Buffer.compare(opened, plaintext) === 0;
        opened.fill(0);
        if (!same) throw differs(recordSet, record, field, 'is not what its envelope opens to');
      }
    }
  };
}

async function openValue(
  { keyring }: Pick<Deps, 'keyring'>,
  purpose: string,
  value: { recordSet: string; record: PlaintextRecord; field: string; envelope: Uint8Array },
): Promise<Uint8Array> {
  const { recordSet, record, field, envelope } = value;
  const { tenant, key: recordId } = record;
  try {
    const kek = await keyring.version(tenant, purpose, inspect(envelope).version);
    return open(envelope, kek, { tenant, recordSet, recordId, field });
  } catch (error) {
    // A key that is out of reach says nothing about the record.
    if (!(error instanceof EnvelopeError)) throw error;
    throw differs(recordSet, record, field, `has an envelope that does not open (${error.code})`);
  }
}

function differs(recordSet: string, { key }: PlaintextRecord, field: string, what: string): RecordStoreError {
  return new RecordStoreError(
    'PLAINTEXT_DIFFERS',
    `Record set "${recordSet}", record ${JSON.stringify(key)}: the plaintext of field "${field}" ${what}. Nothing was dropped`,
    { remedy: `Run \`keyturn adopt --record-set ${recordSet}\` again, or correct the record.` },
  );
}
