import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { inspect } from '../../shared/envelope/index.ts';
import { RecordStoreError } from '../../shared/errors/errors.ts';
import type {
  AdoptableStore,
  FieldValue,
  PlaintextChange,
  PlaintextRecord,
  RecordKey,
} from '../../shared/records/record-store.ts';
import { envelope, listAll, type RecordStoreFixture } from './record-store.ts';

/** A fixture whose table has a plaintext column for each field, and at first no envelope columns. */
export interface AdoptableFixture extends RecordStoreFixture<AdoptableStore> {
  /** Distinct plaintext for a field, as text that its column can hold; `bytes` is what the store must read. */
  plaintextOf(field: number, n: number): { readonly text: string; readonly bytes: Uint8Array };
  insertPlaintext(key: RecordKey, tenant: string, texts: readonly (string | null)[]): Promise<void>;
  writePlaintext(key: RecordKey, field: number, text: string | null): Promise<void>;
  /** Names of the envelope columns, and of the plaintext columns, that exist now. */
  columns(): Promise<{ readonly envelopes: readonly string[]; readonly plaintext: readonly string[] }>;
}

const bytes = (value: FieldValue | undefined) => (value ? Buffer.from(value).toString('hex') : null);

/** What a store that adopts plaintext columns in place must do. */
export function describeAdoptableStore(name: string, makeFixture: () => Promise<AdoptableFixture>): void {
  describe(`adoptable store contract: ${name}`, () => {
    let fixture: AdoptableFixture;
    let store: AdoptableStore;
    let tenant: string;

    beforeEach(async () => {
      fixture = await makeFixture();
      store = fixture.store;
      tenant = fixture.tenants[0];
    });
    afterEach(() => fixture.close());

    /** Of the 20 rows, those with any plaintext. */
    const withPlaintext = () => (store.fields.length > 1 ? 20 : 16);
    const fill20 = async () => {
      for (let n = 0; n < 20; n++) {
        const texts = store.fields.map((_, f) =>
          n % 5 === 4 && f === 0 ? null : fixture.plaintextOf(f, n).text,
        );
        await fixture.insertPlaintext(fixture.keyOf(n), tenant, texts);
      }
    };
    const list = async (limit = 3) => {
      const keys: RecordKey[] = [];
      for (const segment of await store.segments({ tenant, keyId: '' }, 2)) {
        keys.push(
          ...(await listAll((after, n) => store.listPlaintext({ tenant }, segment, after, n), limit)),
        );
      }
      return keys;
    };
    const changesOf = (records: readonly (PlaintextRecord | null)[]): PlaintextChange[] =>
      records
        .filter((record) => record !== null)
        .map((record) => ({
          key: record.key,
          tenant: record.tenant,
          changes: record.plaintext.flatMap((plaintext, field) =>
            plaintext && record.values[field] === null ? [{ field, plaintext, envelope: envelope(1) }] : [],
          ),
        }))
        .filter(({ changes }) => changes.length > 0);
    const adoptAll = async () => {
      const outcomes = await store.fill(changesOf(await store.readPlaintext(await list())));
      expect(new Set(outcomes)).toEqual(new Set(['replaced']));
    };
    /** Fails like the caller's check that every envelope opens to the plaintext. */
    const verify = async (records: readonly PlaintextRecord[]) => {
      for (const record of records) {
        if (record.plaintext.some((plaintext, f) => plaintext !== null && record.values[f] === null)) {
          throw new RecordStoreError('PLAINTEXT_DIFFERS', `Record ${record.key.join('/')} has no envelope.`);
        }
      }
    };

    it('makes the envelope columns, once', async () => {
      expect(await store.hasPlaintext()).toBe(true);
      expect((await fixture.columns()).envelopes).toEqual([]);
      expect((await store.prepareAdoption()).length).toBe(store.fields.length);
      expect((await fixture.columns()).envelopes.length).toBe(store.fields.length);
      expect(await store.prepareAdoption()).toEqual([]);
      await store.check();
    });

    it('lists, reads and fills until nothing is left, and then changes nothing', async () => {
      await store.prepareAdoption();
      await fill20();
      expect(await store.tenants()).toEqual([tenant]);
      expect((await list()).length).toBe(withPlaintext());
      const [first, gone] = await store.readPlaintext([fixture.keyOf(0), fixture.keyOf(999)]);
      expect(gone).toBeNull();
      expect(first?.tenant).toBe(tenant);
      expect(first?.plaintext.map(bytes)).toEqual(
        store.fields.map((_, f) => bytes(fixture.plaintextOf(f, 0).bytes)),
      );
      expect(first?.values).toEqual(store.fields.map(() => null));
      await adoptAll();
      expect(await list()).toEqual([]);
      for (const row of await fixture.rows()) {
        for (const value of row.values) if (value) expect(inspect(value).version).toBe(1);
      }
    });

    it('does not fill what an application changed, filled or removed since', async () => {
      await store.prepareAdoption();
      await fill20();
      const keys = [0, 1, 2, 3].map(fixture.keyOf);
      const changes = changesOf(await store.readPlaintext(keys));
      await fixture.writePlaintext(keys[0] ?? [], 0, fixture.plaintextOf(0, 77).text);
      const own = envelope(5);
      await fixture.write(keys[1] ?? [], 0, own);
      await fixture.remove(keys[2] ?? []);
      expect(await store.fill(changes)).toEqual(['conflict', 'conflict', 'missing', 'replaced']);
      expect(await store.fill(changes)).toEqual(['conflict', 'conflict', 'missing', 'conflict']);
      const row = (await fixture.rows()).find((r) => JSON.stringify(r.key) === JSON.stringify(keys[1]));
      expect(bytes(row?.values[0])).toBe(bytes(own));
      expect((await fixture.rows()).length).toBe(19);
    });

    it('drops the plaintext only after every row was verified, once', async () => {
      await store.prepareAdoption();
      await fill20();
      await adoptAll();
      const seen = new Set<string>();
      let progress = 0;
      const dropped = await store.dropPlaintext(
        async (records) => {
          for (const { key } of records) seen.add(JSON.stringify(key));
          await verify(records);
        },
        (rows) => {
          expect(rows).toBeGreaterThanOrEqual(progress);
          progress = rows;
        },
      );
      expect(dropped.length).toBe(store.fields.length);
      expect(seen.size).toBe(20);
      expect(progress).toBe(20);
      expect((await fixture.columns()).plaintext).toEqual([]);
      expect(await store.hasPlaintext()).toBe(false);
      expect(await store.dropPlaintext(verify)).toEqual([]);
      expect(await list()).toEqual([]);
      expect((await store.readPlaintext([fixture.keyOf(0)]))[0]?.plaintext).toEqual(
        store.fields.map(() => null),
      );
      await store.check();
    });

    it('drops nothing while a record differs', async () => {
      await store.prepareAdoption();
      await fill20();
      await expect(store.dropPlaintext(verify)).rejects.toMatchObject({ code: 'PLAINTEXT_DIFFERS' });
      expect((await fixture.columns()).plaintext.length).toBe(store.fields.length);
      expect((await list()).length).toBe(withPlaintext());
    });

    it('verifies again what was written while it verified', async () => {
      await store.prepareAdoption();
      await fill20();
      await adoptAll();
      let pages = 0;
      const key = fixture.keyOf(50);
      const late = async (records: readonly PlaintextRecord[]) => {
        await verify(records);
        if (pages++ === 0)
          await fixture.insertPlaintext(
            key,
            tenant,
            store.fields.map((_, f) => fixture.plaintextOf(f, 50).text),
          );
      };
      await expect(store.dropPlaintext(late)).rejects.toMatchObject({ code: 'PLAINTEXT_DIFFERS' });
      expect((await fixture.columns()).plaintext.length).toBe(store.fields.length);
      await adoptAll();
      expect((await store.dropPlaintext(verify)).length).toBe(store.fields.length);
    });
  });
}
