import type { Deps } from '../../shared/deps/deps.ts';
import { inspect, open } from '../../shared/envelope/index.ts';
import { EnvelopeError, RecordStoreError } from '../../shared/errors/errors.ts';
import type { PlaintextRecord } from '../../shared/records/record-store.ts';

export interface PlaintextCheckOptions {
  /** The application writes envelopes only, so one without a plaintext is no deletion. */
  readonly envelopeOnlyRowsOk?: boolean;
}

/**
 * Makes the check that comes before plaintext is dropped: every plaintext value must be what its envelope opens to,
 * and an envelope whose plaintext is NULL may be what old code deleted, which must not come back by the drop.
 * It throws PLAINTEXT_DIFFERS, naming the record and the field, never a value.
 */
export function createPlaintextCheck(
  deps: Pick<Deps, 'keyring' | 'recordSets'>,
  recordSet: string,
  { envelopeOnlyRowsOk = false }: PlaintextCheckOptions = {},
): (records: readonly PlaintextRecord[]) => Promise<void> {
  const { purpose, fields } = deps.recordSets.config(recordSet);
  return async (records) => {
    for (const record of records) {
      for (const [i, { name: field, column, plaintextColumn }] of fields.entries()) {
        if (plaintextColumn === undefined) continue;
        const plaintext = record.plaintext[i] ?? null;
        const envelope = record.values[i] ?? null;
        const fail = (what: string, remedy: string) => differs({ recordSet, record, field, what, remedy });
        if (plaintext === null) {
          if (envelope === null || envelopeOnlyRowsOk) continue;
          throw fail('is NULL and its envelope is not', deletedRemedy(column, plaintextColumn));
        }
        if (envelope === null) throw fail('has no envelope yet', `Run \`${adopting(recordSet)}\` again.`);
        const opened = await openValue(deps, purpose, { recordSet, record, field, envelope });
        if (opened instanceof EnvelopeError) {
          throw fail(
            `has an envelope that does not open (${opened.code})`,
            changedRemedy(recordSet, column, plaintextColumn),
          );
        }
        const same = Buffer.compare(opened, plaintext) === 0;
        opened.fill(0);
        if (!same) {
          throw fail('is not what its envelope opens to', changedRemedy(recordSet, column, plaintextColumn));
        }
      }
    }
  };
}

/** The error where it does not open. */
async function openValue(
  { keyring }: Pick<Deps, 'keyring'>,
  purpose: string,
  value: { recordSet: string; record: PlaintextRecord; field: string; envelope: Uint8Array },
): Promise<Uint8Array | EnvelopeError> {
  const { recordSet, record, field, envelope } = value;
  const { tenant, key: recordId } = record;
  try {
    const kek = await keyring.version(tenant, purpose, inspect(envelope).version);
    return open(envelope, kek, { tenant, recordSet, recordId, field });
  } catch (error) {
    // A key that is out of reach says nothing about the record.
    if (error instanceof EnvelopeError) return error;
    throw error;
  }
}

function adopting(recordSet: string): string {
  return `keyturn adopt --record-set ${recordSet}`;
}

/** The envelope of a deleted plaintext, or one that new code wrote alone: only the reader can tell. */
function deletedRemedy(column: string, plaintextColumn: string): string {
  return (
    `Where the value was deleted, set "${column}" to NULL too. Where your application writes envelopes only, run it ` +
    `with --envelope-only-rows-ok. Where column "${plaintextColumn}" is gone already, take plaintextColumn out of this field's configuration.`
  );
}

/** `adopt` fills only NULL envelopes, so it alone would change nothing. */
function changedRemedy(recordSet: string, column: string, plaintextColumn: string): string {
  return (
    `Where the plaintext is right, set "${column}" to NULL, then run \`${adopting(recordSet)}\`: it fills only NULL ` +
    `envelopes. Where the envelope is right, correct "${plaintextColumn}", or set it to NULL and run with --envelope-only-rows-ok.`
  );
}

interface Difference {
  readonly recordSet: string;
  readonly record: PlaintextRecord;
  readonly field: string;
  readonly what: string;
  readonly remedy: string;
}

function differs({ recordSet, record, field, what, remedy }: Difference): RecordStoreError {
  return new RecordStoreError(
    'PLAINTEXT_DIFFERS',
    `Record set "${recordSet}", record ${JSON.stringify(record.key)}: the plaintext of field "${field}" ${what}. Nothing was dropped`,
    { remedy },
  );
}
