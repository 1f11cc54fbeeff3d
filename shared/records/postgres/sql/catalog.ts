/**
 * A column that holds no NULL: not one whose domain is NOT NULL, since such a column can hold NULL all the same (CREATE
 * DOMAIN says how), and not one whose constraint is NOT VALID, which PostgreSQL 18 marks as NOT NULL too.
 */
const NOT_NULL = `a.attnotnull AND NOT EXISTS (
        SELECT FROM pg_constraint n
        WHERE n.conrelid = c.oid AND n.contype = 'n' AND n.conkey @> ARRAY[a.attnum] AND NOT n.convalidated)`;

/** $1: the quoted table. No row when it does not exist. One JSON document of it, read in catalog.ts. */
export const CATALOG = `
SELECT json_build_object(
  'kind', c.relkind,
  'readOnly', pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
  'isOwner', pg_has_role(c.relowner, 'USAGE'),
  'rowSecurity', row_security_active(c.oid),
  'hasChildren', c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),
  'columns', (
    SELECT coalesce(json_agg(json_build_object(
      'name', a.attname,
      'type', CASE t.typtype WHEN 'd' THEN b.typname ELSE t.typname END,
      'maxLength', CASE WHEN a.atttypmod > 4 AND t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END,
      'notNull', ${NOT_NULL},
      'deterministic', coalesce((SELECT l.collisdeterministic FROM pg_collation l WHERE l.oid = a.attcollation), true),
      'generated', a.attgenerated <> '',
      'canSelect', has_column_privilege(c.oid, a.attnum, 'SELECT'),
      'canUpdate', has_column_privilege(c.oid, a.attnum, 'UPDATE')
    ) ORDER BY a.attnum), '[]')
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type b ON b.oid = t.typbasetype
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'uniques', (
    SELECT coalesce(json_agg((
      SELECT json_agg(a.attname)
      FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
      WHERE k.n <= i.indnkeyatts)), '[]')
    FROM pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL),
  'leading', (
    SELECT coalesce(json_agg(a.attname), '[]')
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL)
) AS catalog
FROM pg_class c
WHERE c.oid = to_regclass($1)`;

/** $1: a schema, or NULL for those on the search path. */
export const NEARBY_TABLES = `
SELECT c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
  AND CASE WHEN $1::text IS NULL THEN n.nspname = ANY (current_schemas(false)) ELSE n.nspname = $1 END
ORDER BY 1
LIMIT 500`;

/** $1: the quoted table, $2: column names. Views and other relations whose definition uses one of the columns. */
export const DEPENDENT_VIEWS = `
SELECT DISTINCT r.ev_class::regclass::text AS view, a.attname AS column
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.refobjid = to_regclass($1) AND a.attname = ANY ($2::text[])
ORDER BY 1, 2`;
