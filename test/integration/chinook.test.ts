import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPlaintextCheck } from '../../scripts/cli/drop-plaintext.ts';
import { createFieldCipher } from '../../shared/keyring/field-cipher.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { requestAdoption, requestRotation } from '../../shared/rotation/request-job.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** A real database, a real schema: its plaintext columns become envelopes, rotate twice, and open to what they were. */

const FILE = new URL('../../../shared/data/chinook_postgresql.sql', import.meta.url);
const TENANT = 'chinook';

const COLUMNS = { customer: ['phone', 'email', 'address'], employee: ['phone'] } as const;
type Table = keyof typeof COLUMNS;
const TABLES: readonly Table[] = ['customer', 'employee'];

const recordSet = (table: Table) => ({
  store: 'main',
  table,
  key: [`${table}_id`],
  tenant: { fixed: TENANT },
  purpose: 'contact-data',
  fields: COLUMNS[table].map((name) => ({ name, column: `${name}_enc`, plaintextColumn: name })),
});

describe.skipIf(!existsSync(FILE))('the Chinook database (skipped where ../shared/data is not there)', () => {
  let stack: TestStack;
  /** What every value was: by table, id and field. */
  const originals = new Map<string, string | null>();

  beforeAll(async () => {
    stack = await startTestStack({
      recordSets: { customer: recordSet('customer'), employee: recordSet('employee') },
      rotation: { chunkSize: 20 },
    });
    // psql's own commands and the creation of the database are not SQL for this connection.
    const sql = (await readFile(FILE, 'utf8'))
      .replace(/^\\c .*$/m, '')
      .replace(/^(DROP|CREATE) DATABASE .*$/gm, '');
    await stack.pool.query(sql);
    for (const table of TABLES) {
      const { rows } = await stack.pool.query(`SELECT * FROM ${table} ORDER BY 1`);
      for (const row of rows) {
        for (const field of COLUMNS[table])
          originals.set(`${table}/${row[`${table}_id`]}/${field}`, row[field]);
      }
    }
    await createKey(stack.deps, TENANT, 'contact-data');
  });
  afterAll(() => stack.remove());

  it('has the rows that this test is about', () => {
    expect(originals.size).toBe(59 * 3 + 8);
    // A value that is NULL stays NULL.
    expect([...originals.values()].filter((value) => value === null).length).toBeGreaterThan(0);
  });

  it('is adopted, and adopting it again changes nothing', async () => {
    for (const table of TABLES) {
      expect(await stack.deps.recordSets.store(table).prepareAdoption()).toEqual(
        COLUMNS[table].map((name) => `${name}_enc`),
      );
    }
    await adoptAll();
    const first = await envelopes();
    expect(first.size).toBe([...originals.values()].filter((value) => value !== null).length);
    await adoptAll();
    expect(await envelopes()).toEqual(first);
    await expectAllOpen();
  });

  it('keeps its plaintext when one value differs from its envelope', async () => {
    await stack.pool.query(`UPDATE customer SET phone = '+1 555' WHERE customer_id = 7`);
    const customer = stack.deps.recordSets.store('customer');
    const dropping = customer.dropPlaintext(createPlaintextCheck(stack.deps, 'customer'));
    await expect(dropping).rejects.toMatchObject({ code: 'PLAINTEXT_DIFFERS' });
    await expect(dropping).rejects.toThrow(/customer.*7.*phone/s);
    await expect(dropping).rejects.not.toThrow(/555/);
    expect(await columnsOf('customer')).toEqual(expect.arrayContaining(['phone', 'email', 'address']));
    await stack.pool.query(`UPDATE customer SET phone = $1 WHERE customer_id = 7`, [
      originals.get('customer/7/phone'),
    ]);
  });

  it('loses its plaintext, which is then nowhere in the tables', async () => {
    for (const table of TABLES) {
      const store = stack.deps.recordSets.store(table);
      const dropped = await store.dropPlaintext(createPlaintextCheck(stack.deps, table));
      expect([...dropped].sort()).toEqual([...COLUMNS[table]].sort());
      const columns = await columnsOf(table);
      for (const field of COLUMNS[table]) expect(columns).not.toContain(field);
      expect(await store.dropPlaintext(createPlaintextCheck(stack.deps, table))).toEqual([]);
    }
    const emails = [...originals].flatMap(([name, value]) =>
      name.endsWith('/email') && value !== null ? [value] : [],
    );
    expect(emails).toHaveLength(59);
    const { rows } = await stack.pool.query('SELECT c::text AS text FROM customer AS c');
    const everything = rows.map(({ text }) => String(text)).join('\n');
    expect(emails.filter((email) => everything.includes(email))).toEqual([]);
    // PostgreSQL leaves a dropped column's bytes in the table's file until the table is rewritten: docs/tutorial.md.
    await stack.pool.query('VACUUM FULL customer');
    await stack.pool.query('CHECKPOINT');
    const { rows: paths } = await stack.pool.query(`SELECT pg_relation_filepath('customer') AS path`);
    const file = await readFile(join(stack.dir, 'stack', 'postgres', 'data', String(paths[0]?.path)));
    expect(file.length).toBeGreaterThan(0);
    expect(emails.filter((email) => file.includes(email))).toEqual([]);
  });

  it.each([
    ['rewrap', 1],
    ['re-encrypt', 2],
  ] as const)(
    'rotates by %s; the census finds the new version only; the old one is purged',
    async (mode, from) => {
      const before = await envelopes();
      const { job } = await requestRotation(stack.deps, {
        tenant: TENANT,
        purpose: 'contact-data',
        mode,
        requestedBy: 'test',
      });
      const ended = await jobEnded(stack, job.jobId);
      expect(ended).toMatchObject({ status: 'COMPLETED', from, to: from + 1 });
      expect(ended.census).toMatchObject({ stale: 0, malformed: 0, foreign: 0 });
      expect(ended.census?.coverage['customer']?.rows).toBe(59);
      expect(ended.census?.coverage['employee']).toMatchObject({
        rows: 8,
        values: 8,
        versions: { [from + 1]: 8 },
      });
      await expectAllOpen();
      for (const [name, envelope] of await envelopes()) {
        // A rewrap leaves the ciphertext bit for bit; a re-encryption leaves nothing of it.
        const iv = (bytes: Buffer | undefined) => bytes?.subarray(10, 22).toString('hex');
        expect(iv(envelope) === iv(before.get(name))).toBe(mode === 'rewrap');
      }
      await eventually(async () => {
        const key = await stack.deps.ledger.getKey(TENANT, 'contact-data');
        return key?.versions[String(from)]?.state === 'DESTROYED';
      }, `the purge of version ${from}`);
      await expectAllOpen();
    },
  );

  async function adoptAll(): Promise<void> {
    for (const table of TABLES) {
      const { job } = await requestAdoption(stack.deps, {
        tenant: TENANT,
        recordSet: table,
        requestedBy: 'test',
      });
      expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED', blocker: null });
    }
  }

  async function columnsOf(table: Table): Promise<string[]> {
    const { rows } = await stack.pool.query(
      'SELECT column_name FROM information_schema.columns WHERE table_name = $1',
      [table],
    );
    return rows.map(({ column_name }) => column_name);
  }

  async function envelopes(): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>();
    for (const table of TABLES) {
      const { rows } = await stack.pool.query(`SELECT * FROM ${table} ORDER BY 1`);
      for (const row of rows) {
        for (const field of COLUMNS[table]) {
          if (row[`${field}_enc`] !== null)
            found.set(`${table}/${row[`${table}_id`]}/${field}`, row[`${field}_enc`]);
        }
      }
    }
    return found;
  }

  async function expectAllOpen(): Promise<void> {
    const cipher = createFieldCipher({ keyring: stack.deps.keyring, purposes: () => 'contact-data' });
    const stored = await envelopes();
    for (const [name, value] of originals) {
      const envelope = stored.get(name);
      if (value === null) {
        expect(envelope).toBeUndefined();
        continue;
      }
      const [table = '', id = '', field = ''] = name.split('/');
      if (envelope === undefined) throw new Error(`${name} has no envelope`);
      const opened = await cipher.open({ tenant: TENANT, recordSet: table, recordId: [id], field }, envelope);
      expect(Buffer.from(opened).toString()).toBe(value);
    }
  }
});
