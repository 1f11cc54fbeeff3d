import { HEADER_PREFIX } from '../../../envelope/layout.ts';
import type { Statement } from '../transaction.ts';
import { type Form, kidAt } from './envelope.ts';
import { quote } from './identifiers.ts';
import { Parameters } from './range.ts';

/**
 * Every table of the database as far as a search is concerned: one row a table, partitions with their root, which reads
 * them. Schemas of the system are left out, and temporary tables: they are another session's and end with it.
 *
 * `base`: what each type is below its domains.
 */
export const SEARCHED_TABLES: Statement = {
  text: `
WITH RECURSIVE base(oid, type) AS (
  SELECT oid, oid FROM pg_type WHERE typtype <> 'd'
  UNION ALL
  SELECT d.oid, b.type FROM pg_type d JOIN base b ON d.typbasetype = b.oid WHERE d.typtype = 'd')
SELECT json_build_object(
  'oid', c.oid::int8,
  'schema', n.nspname,
  'name', c.relname,
  'kind', c.relkind,
  'populated', c.relispopulated,
  'rowSecurity', row_security_active(c.oid),
  'usable', has_schema_privilege(n.oid, 'USAGE'),
  'leaves', (
    SELECT coalesce(json_agg((SELECT json_agg(a.relid::oid::int8) FROM pg_partition_ancestors(p.relid) AS a)), '[]')
    FROM pg_partition_tree(c.oid) AS p WHERE c.relkind = 'p' AND p.isleaf),
  'columns', (
    SELECT coalesce(json_agg(json_build_object(
      'name', a.attname,
      'type', t.typname,
      'category', t.typcategory,
      'length', t.typlen,
      'element', CASE t.typcategory WHEN 'A' THEN json_build_object(
        'type', e.typname, 'category', e.typcategory, 'length', e.typlen) END,
      'maxLength', CASE WHEN a.atttypmod > 4 AND t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END,
      'canSelect', has_column_privilege(c.oid, a.attnum, 'SELECT')
    ) ORDER BY a.attnum), '[]')
    FROM pg_attribute a
    JOIN base b ON b.oid = a.atttypid
    JOIN pg_type t ON t.oid = b.type
    LEFT JOIN base eb ON eb.oid = t.typelem AND t.typcategory = 'A'
    LEFT JOIN pg_type e ON e.oid = eb.type
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v')
) AS table
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
ORDER BY n.nspname, c.relname`,
};

/** The object ids of tables as the configuration names them, already quoted; those that do not exist are left out. */
export function objectIds(tables: readonly string[]): Statement {
  return {
    text: `
SELECT t.name, to_regclass(t.name)::oid::int8::float8 AS oid FROM unnest($1::text[]) AS t(name)
WHERE to_regclass(t.name) IS NOT NULL`,
    values: [tables],
  };
}

/** About how many bytes all tables have, by the planner's figures: asking for the true sizes would wait for locked tables. */
export const DATABASE_BYTES: Statement = {
  text: `
SELECT coalesce(sum(greatest(c.relpages, 0)::float8), 0) * current_setting('block_size')::float8 AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 't') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`,
};

export interface SearchedColumn {
  readonly name: string;
  readonly form: Form;
  /** A record set declares it: of such a column it is enough to know what is on the version. */
  readonly declared: boolean;
}

/** Most columns of one statement: PostgreSQL takes 1,664 results, and at most three of them are a column's. */
export const COLUMNS_AT_ONCE = 200;

/**
 * How many values of each column begin as an envelope does, name the key, and are on its version; of all columns in one
 * pass over the table, and one snapshot. Only rows with such a value are looked at any further. In declared columns the
 * version counts whatever the value begins with, as in a census.
 *
 * @param keyId 16 bytes. @param kid 20 bytes.
 */
export function envelopeCounts(
  table: { readonly schema: string; readonly name: string; readonly partitioned: boolean },
  columns: readonly SearchedColumn[],
  keyId: Uint8Array,
  kid: Uint8Array,
): Statement {
  const p = new Parameters();
  const onVersion = p.add(Buffer.from(kid), 'bytea');
  const ofKey = columns.every(({ declared }) => declared) ? '' : p.add(Buffer.from(keyId), 'bytea');
  const conditions: string[] = [];
  const counts = columns.flatMap(({ name, form, declared }, i) => {
    const value = asForm(form, `t.${quote(name)}`);
    const found = kidAt(form, value);
    if (declared) {
      conditions.push(`${found} = ${onVersion}`);
      return [`count(*) FILTER (WHERE ${found} = ${onVersion})::float8 AS v${i}`];
    }
    const begins = beginsAsEnvelope(form, value);
    conditions.push(begins);
    return [
      `count(*) FILTER (WHERE ${begins})::float8 AS e${i}`,
      `count(*) FILTER (WHERE CASE WHEN ${begins} THEN substr(${found}, 1, 16) = ${ofKey} ELSE false END)::float8 AS k${i}`,
      `count(*) FILTER (WHERE CASE WHEN ${begins} THEN ${found} = ${onVersion} ELSE false END)::float8 AS v${i}`,
    ];
  });
  // Of a partitioned table alone there is nothing to read; tables that merely inherit are searched by themselves.
  const only = table.partitioned ? '' : 'ONLY ';
  return {
    text: `
SELECT ${counts.join(',\n  ')}
FROM ${only}${quote(table.schema)}.${quote(table.name)} AS t
WHERE ${conditions.join('\n  OR ')}`,
    values: p.values,
  };
}

/** base64url of the header, as many characters as hold nothing but its bits. */
const TEXT_PREFIX = Buffer.from(HEADER_PREFIX)
  .toString('base64url')
  .slice(0, Math.floor((HEADER_PREFIX.length * 8) / 6));

function beginsAsEnvelope(form: Form, value: string): string {
  if (form === 'bytea') {
    return `(substr(${value}, 1, ${HEADER_PREFIX.length}) = '\\x${Buffer.from(HEADER_PREFIX).toString('hex')}'::bytea) IS TRUE`;
  }
  const prefix = `substr(${value}, 1, ${TEXT_PREFIX.length})`;
  return `(${prefix} COLLATE "C" = '${TEXT_PREFIX}') IS TRUE`;
}

/** citext, char(n) and the like as text. */
function asForm(form: Form, value: string): string {
  return form === 'text' ? `${value}::text` : value;
}
