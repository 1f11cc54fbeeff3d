import { afterAll, describe, expect, it } from 'vitest';
import { createPlaintextCheck } from '../../scripts/cli/drop-plaintext.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { createFieldCipher } from '../../shared/keyring/field-cipher.ts';
import { createRecordSets } from '../../shared/records/record-sets.ts';
import type { FieldValue, PlaintextRecord } from '../../shared/records/record-store.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { prepareWorlds } from '../support/memory-world.ts';

/** What is verified before plaintext is dropped: no value may be lost, changed or brought back by it. */

const worlds = await prepareWorlds();
const { deps } = await worlds.makeWorld(createMemoryLedger());
afterAll(() => worlds.remove());

const SECRET = 'somebody@example.org';
const config = parseConfig(
  JSON.stringify({
    provider: { type: 'local', keystore: 'k', keyFile: 'f' },
    stores: { main: { type: 'postgres', urlFrom: 'URL' } },
    recordSets: {
      customers: {
        store: 'main',
        table: 'customer',
        key: ['id'],
        tenant: { column: 'tenant' },
        fields: [
          { name: 'note', column: 'note_enc' },
          { name: 'email', column: 'email_enc', plaintextColumn: 'email' },
        ],
      },
    },
  }),
  'test',
);
const none = () => {
  throw new Error('no store is needed');
};
const recordSets = createRecordSets(config.recordSets, none, { stores: [], open: none });
const cipher = createFieldCipher({ keyring: deps.keyring, purposes: () => 'default' });
const seal = (text: string, id = '7') =>
  cipher.seal({ tenant: 'acme', recordSet: 'customers', recordId: [id], field: 'email' }, Buffer.from(text));

function record(plaintext: string | null, envelope: FieldValue): PlaintextRecord {
  return {
    key: ['7'],
    tenant: 'acme',
    plaintext: [null, plaintext === null ? null : Buffer.from(plaintext)],
    values: [null, envelope],
  };
}

const check = (...records: readonly PlaintextRecord[]) =>
  createPlaintextCheck({ keyring: deps.keyring, recordSets }, 'customers')(records);
const checkEnvelopesOnly = (...records: readonly PlaintextRecord[]) =>
  createPlaintextCheck({ keyring: deps.keyring, recordSets }, 'customers', { envelopeOnlyRowsOk: true })(
    records,
  );

const differing = (message: RegExp, remedy: RegExp) => ({
  code: 'PLAINTEXT_DIFFERS',
  message: expect.stringMatching(message),
  remedy: expect.stringMatching(remedy),
});

describe('the check before plaintext is dropped', () => {
  it('passes what its envelope opens to, and what is NULL in both', async () => {
    const sealed = await seal(SECRET);
    await expect(check(record(SECRET, sealed), record(null, null), record('', await seal('')))).resolves.toBe(
      undefined,
    );
  });

  it('passes fields that never had a plaintext column', async () => {
    const whole = { ...record(null, null), values: [await seal('a note'), null] };
    await expect(check(whole)).resolves.toBe(undefined);
  });

  it('finds a plaintext without an envelope', async () => {
    await expect(check(record(SECRET, null))).rejects.toMatchObject(
      differing(
        /"customers", record \["7"\].*"email" has no envelope yet/,
        /`keyturn adopt --record-set customers`/,
      ),
    );
  });

  it('finds a plaintext that changed since, and says that the envelope goes first', async () => {
    const failing = check(record('changed', await seal(SECRET)));
    await expect(failing).rejects.toMatchObject(
      differing(/\["7"\].*"email" is not what/, /set "email_enc" to NULL, then run `keyturn adopt/),
    );
    await expect(failing).rejects.not.toThrow(/changed|somebody/);
  });

  it('finds a deletion by old code, which the drop would undo', async () => {
    await expect(check(record(null, await seal(SECRET)))).rejects.toMatchObject(
      differing(
        /"email" is NULL and its envelope is not/,
        /set "email_enc" to NULL too.*--envelope-only-rows-ok/,
      ),
    );
  });

  it('passes envelopes without plaintext where the application writes only these', async () => {
    await expect(checkEnvelopesOnly(record(null, await seal(SECRET)))).resolves.toBe(undefined);
    // Nothing else is let through by it.
    await expect(checkEnvelopesOnly(record('changed', await seal(SECRET)))).rejects.toThrow(/is not what/);
    await expect(checkEnvelopesOnly(record(SECRET, null))).rejects.toThrow(/has no envelope/);
  });

  it('finds an envelope that does not open: damaged, or copied from another row', async () => {
    for (const envelope of [Buffer.from('no envelope'), await seal(SECRET, '8')]) {
      await expect(check(record(SECRET, envelope))).rejects.toMatchObject(
        differing(/does not open \((ENVELOPE_MALFORMED|DECRYPTION_FAILED)\)/, /set "email_enc" to NULL/),
      );
    }
  });

  it('does not take a key that is out of reach for a difference', async () => {
    const failing = createPlaintextCheck(
      {
        recordSets,
        keyring: {
          ...deps.keyring,
          version: async () => {
            throw new Error('out of reach');
          },
        },
      },
      'customers',
    )([record(SECRET, await seal(SECRET))]);
    await expect(failing).rejects.toThrow('out of reach');
  });
});
