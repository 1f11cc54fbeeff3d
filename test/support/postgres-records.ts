import { z } from 'zod';
import type { RecordSetConfig } from '../../shared/config/schema.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import {
  createPostgresRecordStore,
  type PostgresRecordStoreOptions,
} from '../../shared/records/postgres/store.ts';
import type { AdoptableStore, FieldValue, RecordKey } from '../../shared/records/record-store.ts';
import type { AdoptableFixture } from '../contracts/adoptable-store.ts';
import type { FixtureRow, RecordStoreFixture } from '../contracts/record-store.ts';
import type { TestPostgres } from './postgres.ts';

/** A shape of table that the contract suites run on. */
export interface TableCase {
  readonly name: string;
  /** Column definitions, `%T` is the table. */
  readonly ddl: string;
  readonly key: readonly [string, ...string[]];
  readonly tenant: RecordSetConfig['tenant'];
  readonly tenants: readonly [string, ...string[]];
  readonly fields: RecordSetConfig['fields'];
  readonly textFields: boolean;
  keyOf(n: number): RecordKey;
}

const field = (name: string, column: string, plaintextColumn?: string) => ({
  name,
  column,
  sensitivity: 'high' as const,
  ...(plaintextColumn === undefined ? {} : { plaintextColumn }),
});

/** The same numbers in another order, so that insertion order is not key order. */
const scatter = (n: number) => (n * 7919) % 100_003;

export const INT_KEY: TableCase = {
  name: 'integer key, tenant column, bytea',
  ddl: 'CREATE TABLE %T (id int8 PRIMARY KEY, tenant text NOT NULL, secret bytea, secret_plain text)',
  key: ['id'],
  tenant: { column: 'tenant' },
  tenants: ['acme', 'Zürich "AG"'],
  fields: [field('secret', 'secret', 'secret_plain')],
  textFields: false,
  keyOf: (n) => [String(scatter(n) - 50_000)],
};

export const COMPOUND_KEY: TableCase = {
  name: 'compound key (uuid, text), text columns, several fields, odd names',
  ddl: `CREATE COLLATION IF NOT EXISTS public.folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE %T ("Region" uuid, "no" text, "Ten""ant" int4, "first field" text, second varchar COLLATE public.folded, "Drittes Ü" text,
    "Plain 1" varchar(100), p2 char(10), p3 date, UNIQUE ("no", "Region"), PRIMARY KEY ("Region", "no"))`,
  key: ['Region', 'no'],
  tenant: { column: 'Ten"ant' },
  tenants: ['7', '-12'],
  fields: [
    field('first', 'first field', 'Plain 1'),
    field('second', 'second', 'p2'),
    field('third', 'Drittes Ü', 'p3'),
  ],
  textFields: true,
  keyOf: (n) => [
    `0189${String(n % 3).padStart(4, '0')}-0000-7000-8000-000000000000`,
    `${['a', 'B', 'ü', '', "'\\"][n % 5]}${scatter(n)}`,
  ],
};

export const FIXED_TENANT: TableCase = {
  name: 'fixed tenant, partitioned table, two bytea fields',
  ddl: `CREATE TABLE %T (id int4, code char(6), a bytea, b bytea, pa bytea, pb text, PRIMARY KEY (id, code)) PARTITION BY RANGE (id);
    CREATE TABLE %T_1 PARTITION OF %T FOR VALUES FROM (MINVALUE) TO (40000);
    CREATE TABLE %T_2 PARTITION OF %T FOR VALUES FROM (40000) TO (MAXVALUE)`,
  key: ['id', 'code'],
  tenant: { fixed: 'the only one' },
  tenants: ['the only one'],
  fields: [field('a', 'a', 'pa'), field('b', 'b', 'pb')],
  textFields: false,
  keyOf: (n) => [String(scatter(n)), `c${n % 10}`],
};

export function recordSetConfig(table: string, tableCase: TableCase): RecordSetConfig {
  const { key, tenant, fields } = tableCase;
  return { store: 'main', table, key: [...key], tenant, purpose: 'default', fields };
}

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

export async function makeFixture(
  postgres: TestPostgres,
  tableCase: TableCase,
  options: Partial<PostgresRecordStoreOptions> = {},
): Promise<RecordStoreFixture<AdoptableStore> & { readonly table: string }> {
  const schema = await postgres.schema();
  const table = `${schema}.people`;
  await postgres.admin.query(tableCase.ddl.replaceAll('%T', table));
  const pool = createPostgresPool({ tls: 'off', maxConnections: 6 }, postgres.url, { store: 'main' });
  const config = recordSetConfig(table, tableCase);
  const store = createPostgresRecordStore({ recordSet: 'people', config, pool, closePool: true, ...options });

  const columns = tableCase.fields.map(({ column }) => column);
  const tenantColumn = 'column' in tableCase.tenant ? [tableCase.tenant.column] : [];
  const all = [...tableCase.key, ...tenantColumn, ...columns];
  const write = (value: FieldValue) => {
    if (value === null) return null;
    return tableCase.textFields ? Buffer.from(value).toString('base64url') : Buffer.from(value);
  };
  const read = (value: unknown): FieldValue => {
    if (value === null) return null;
    return tableCase.textFields
      ? Buffer.from(z.string().parse(value), 'base64url')
      : z.instanceof(Buffer).parse(value);
  };
  const keyIs = (first: number) => tableCase.key.map((c, i) => `${quoted(c)} = $${first + i}`).join(' AND ');

  return {
    store,
    table,
    tenants: tableCase.tenants,
    keyOf: tableCase.keyOf,
    async insert(rows) {
      for (const { key, tenant, values } of rows) {
        const list = [...key, ...(tenantColumn.length > 0 ? [tenant] : []), ...values.map(write)];
        const places = list.map((_, i) => `$${i + 1}`).join(', ');
        await postgres.admin.query(
          `INSERT INTO ${table} (${all.map(quoted).join(', ')}) VALUES (${places})`,
          list,
        );
      }
    },
    async write(key, f, value) {
      const column = quoted(columns[f] ?? '');
      await postgres.admin.query(`UPDATE ${table} SET ${column} = $1 WHERE ${keyIs(2)}`, [
        write(value),
        ...key,
      ]);
    },
    async remove(key) {
      await postgres.admin.query(`DELETE FROM ${table} WHERE ${keyIs(1)}`, [...key]);
    },
    async rows() {
      const texts = [...tableCase.key, ...tenantColumn].map((c) => `${quoted(c)}::text`);
      const { rows } = await postgres.admin.query({
        text: `SELECT ${[...texts, ...columns.map(quoted)].join(', ')} FROM ${table} ORDER BY 1, 2`,
        rowMode: 'array',
      });
      return z
        .array(z.array(z.unknown()))
        .parse(rows)
        .map((cells): FixtureRow => {
          const count = tableCase.key.length;
          return {
            key: cells.slice(0, count).map(String),
            tenant: 'fixed' in tableCase.tenant ? tableCase.tenant.fixed : String(cells[count]),
            values: cells.slice(count + tenantColumn.length).map(read),
          };
        });
    },
    async clear() {
      await postgres.admin.query(`TRUNCATE ${table}`);
    },
    async close() {
      await store.close();
      await postgres.admin.query(`DROP SCHEMA ${schema} CASCADE`);
    },
  };
}

/** The same table before its adoption: without envelope columns. */
export async function makeAdoptableFixture(
  postgres: TestPostgres,
  tableCase: TableCase,
  options: Partial<PostgresRecordStoreOptions> = {},
): Promise<AdoptableFixture & { readonly table: string }> {
  // prepareAdoption makes bytea columns.
  const fixture = await makeFixture(postgres, { ...tableCase, textFields: false }, options);
  const { table } = fixture;
  const { admin } = postgres;
  const plain = tableCase.fields.map((f) => f.plaintextColumn ?? '');
  const envelopes = tableCase.fields.map((f) => f.column);
  await admin.query(`ALTER TABLE ${table} ${envelopes.map((c) => `DROP COLUMN ${quoted(c)}`).join(', ')}`);
  const types = new Map<string, string>();
  for (const { column_name, data_type } of await columnsOf(postgres, table))
    types.set(column_name, data_type);

  return {
    ...fixture,
    plaintextOf(f, n) {
      const type = types.get(plain[f] ?? '');
      if (type === 'bytea')
        return {
          text: `\\x00ff${String(n).padStart(4, '0')}`,
          bytes: Buffer.from(`00ff${String(n).padStart(4, '0')}`, 'hex'),
        };
      if (type === 'date')
        return {
          text: `2020-01-${String((n % 28) + 1).padStart(2, '0')}`,
          bytes: Buffer.from(`2020-01-${String((n % 28) + 1).padStart(2, '0')}`),
        };
      // char(10) is padded; case and accents matter.
      const text = type === 'character' ? `c${n}` : `Wert ${n} é`;
      return { text, bytes: Buffer.from(type === 'character' ? text.padEnd(10) : text) };
    },
    async insertPlaintext(key, tenant, texts) {
      const tenantColumn = 'column' in tableCase.tenant ? [tableCase.tenant.column] : [];
      const names = [...tableCase.key, ...tenantColumn, ...plain].map(quoted).join(', ');
      const list = [...key, ...(tenantColumn.length > 0 ? [tenant] : []), ...texts];
      await admin.query(
        `INSERT INTO ${table} (${names}) VALUES (${list.map((_, i) => `$${i + 1}`).join(', ')})`,
        list,
      );
    },
    async writePlaintext(key, f, text) {
      const where = tableCase.key.map((c, i) => `${quoted(c)} = $${i + 2}`).join(' AND ');
      await admin.query(`UPDATE ${table} SET ${quoted(plain[f] ?? '')} = $1 WHERE ${where}`, [text, ...key]);
    },
    async columns() {
      const names = (await columnsOf(postgres, table)).map((column) => column.column_name);
      return {
        envelopes: envelopes.filter((c) => names.includes(c)),
        plaintext: plain.filter((c) => names.includes(c)),
      };
    },
  };
}

const columnSchema = z.array(z.object({ column_name: z.string(), data_type: z.string() }));

async function columnsOf(postgres: TestPostgres, table: string) {
  const { rows } = await postgres.admin.query(
    'SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2',
    table.split('.'),
  );
  return columnSchema.parse(rows);
}
