import { z } from 'zod';
import { RecordStoreError } from '../../errors/errors.ts';
import { CATALOG, NEARBY_TABLES } from './sql/catalog.ts';
import { quoteTable } from './sql/identifiers.ts';
import type { Queryable } from './transaction.ts';

const columnSchema = z.object({
  name: z.string(),
  /** The type's name; of a domain, its base type's. */
  type: z.string(),
  /** n of varchar(n) and char(n). */
  maxLength: z.int().nullable(),
  notNull: z.boolean(),
  /** Its collation tells texts of different bytes apart. */
  deterministic: z.boolean(),
  generated: z.boolean(),
  canSelect: z.boolean(),
  canUpdate: z.boolean(),
});

const catalogSchema = z.object({
  kind: z.string(),
  readOnly: z.boolean(),
  isOwner: z.boolean(),
  rowSecurity: z.boolean(),
  hasChildren: z.boolean(),
  columns: z.array(columnSchema),
  /** The columns of each unique index that holds for every row. */
  uniques: z.array(z.array(z.string())),
  /** The first column of each index that holds every row. */
  leading: z.array(z.string()),
});

export type CatalogColumn = z.output<typeof columnSchema>;
export type Catalog = z.output<typeof catalogSchema>;

/** What the database says of the table, or undefined where there is none (that this role may see). */
export async function readCatalog(db: Queryable, table: string): Promise<Catalog | undefined> {
  const { rows } = await db.query({ text: CATALOG, values: [quoteTable(table)] });
  const row = z.array(z.object({ catalog: catalogSchema })).parse(rows)[0];
  return row?.catalog;
}

export async function tableNotFound(
  db: Queryable,
  recordSet: string,
  table: string,
): Promise<RecordStoreError> {
  const [schema, name] = table.includes('.') ? table.split('.') : [null, table];
  const { rows } = await db.query({ text: NEARBY_TABLES, values: [schema] });
  const names = z
    .array(z.object({ name: z.string() }))
    .parse(rows)
    .map((row) => row.name);
  return new RecordStoreError(
    'TABLE_NOT_FOUND',
    `Record set "${recordSet}": table "${table}" does not exist, or the role may not see it.${suggest(name ?? '', names)}`,
    { remedy: 'Correct the table in the configuration, or grant the role USAGE on its schema.' },
  );
}

const MANY = 12;

/** ` Did you mean "x"?`, or the list where it is short. */
export function suggest(wanted: string, names: readonly string[]): string {
  const close = names
    .map((name) => ({ name, distance: editDistance(wanted.toLowerCase(), name.toLowerCase()) }))
    .filter(({ distance }) => distance <= Math.max(2, wanted.length / 4))
    .sort((a, b) => a.distance - b.distance)[0];
  if (close !== undefined) return ` Did you mean "${close.name}"?`;
  if (names.length === 0 || names.length > MANY) return '';
  return ` There are: ${names.map((name) => `"${name}"`).join(', ')}.`;
}

/** Levenshtein's, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const substitute = (row[j] ?? 0) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(substitute, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
