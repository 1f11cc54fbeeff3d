import { createHash } from 'node:crypto';
import pg from 'pg';
import { kidOf } from '../../../envelope/kek.ts';
import { KID_LENGTH } from '../../../envelope/layout.ts';
import type { MinimumVersion } from '../../record-store.ts';
import type { FieldColumn } from '../table.ts';
import type { Statement } from '../transaction.ts';
import { kidAt } from './envelope.ts';
import { quote, quoteTable } from './identifiers.ts';

/** The writers' fence in SQL. docs/decisions/0029 says why it is as it is. */

const KEY_ID_LENGTH = 16;

/** SQLSTATE of a refused write. PostgreSQL has no class KT. */
export const REFUSED = 'KT001';

/** Two installations at one time wait for each other. The number is nobody else's. */
export const LOCK_FENCES = "SELECT pg_advisory_xact_lock(hashtextextended('keyturn fence', 0))";

/** Names in the database are at most 63 bytes; a record set's name is ASCII. */
const LONGEST_NAME = 63;

function nameOf(prefix: string, recordSet: string): string {
  const name = `${prefix}${recordSet}`;
  if (name.length <= LONGEST_NAME) return name;
  const hash = createHash('sha256').update(recordSet).digest('hex').slice(0, 12);
  return `${name.slice(0, LONGEST_NAME - hash.length - 1)}_${hash}`;
}

/** Triggers fire in the order of their names: this one after the application's own, which may change the row. */
export function triggerName(recordSet: string): string {
  return nameOf('zz_keyturn_fence_', recordSet);
}

export function functionName(recordSet: string): string {
  return nameOf('fence_', recordSet);
}

function quotedFunction(recordSet: string): string {
  return `keyturn_fence.${quote(functionName(recordSet))}`;
}

/**
 * The minimums, for every writer to read and only for their owner and the pipeline to change. The identifier of a key
 * and the numbers of its versions stand in every envelope: they are no secret.
 */
// Not "keyturn": a role of that name would find the schema in front of its search_path, and make its tables there.
export const CREATE_MINIMUMS: readonly string[] = [
  'CREATE SCHEMA IF NOT EXISTS keyturn_fence',
  `CREATE TABLE IF NOT EXISTS keyturn_fence.minimum_version (
  key_id bytea PRIMARY KEY CHECK (octet_length(key_id) = ${KEY_ID_LENGTH}),
  minimum int8 NOT NULL CHECK (minimum BETWEEN 1 AND 4294967295),
  revision int8 NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now()
)`,
  'GRANT USAGE ON SCHEMA keyturn_fence TO PUBLIC',
  'GRANT SELECT ON keyturn_fence.minimum_version TO PUBLIC',
];

export function grantMinimums(role: string): string {
  return `GRANT INSERT, UPDATE ON keyturn_fence.minimum_version TO ${quote(role)}`;
}

export const FUNCTION_SETTINGS: readonly string[] = ['search_path=pg_catalog, pg_temp'];

/** Of its own for each record set: it names the columns, where one for all would have to look them up in each row. */
export function createFunction(recordSet: string, fields: readonly FieldColumn[]): string {
  return `CREATE OR REPLACE FUNCTION ${quotedFunction(recordSet)}() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $fence$${functionBody(fields)}$fence$`;
}

/**
 * Everything is looked up by the whole of its name or in pg_catalog. What is no envelope, or of a key without a minimum,
 * passes: the census tells of it. What an UPDATE leaves as it was adds nothing, and passes.
 */
export function functionBody(fields: readonly FieldColumn[]): string {
  return `
DECLARE
  -- Taken before the minimum is read: whoever read an older one is waited for by every later census.
  writer xid8 := pg_current_xact_id();
  kid bytea;
  version int8;
  required int8;
BEGIN
${fields.map(checkField).join('')}  RETURN NEW;
END
`;
}

function checkField({ column, form }: FieldColumn): string {
  const value = `NEW.${quote(column)}`;
  // A collation may take different texts for equal.
  const exact = form === 'text' ? `${value} COLLATE "C"` : value;
  return `
  kid := ${kidAt(form, value)};
  IF octet_length(kid) = ${KID_LENGTH} THEN
    version := ('x' || encode(substr(kid, ${KEY_ID_LENGTH + 1}, 4), 'hex'))::bit(32)::int8;
    required := (SELECT m.minimum FROM keyturn_fence.minimum_version AS m WHERE m.key_id = substr(kid, 1, ${KEY_ID_LENGTH}));
    IF version > 0 AND version < required AND ${exact} IS DISTINCT FROM OLD.${quote(column)} THEN
      RAISE EXCEPTION USING ERRCODE = '${REFUSED}',
        MESSAGE = format('keyturn: table %I.%I, column %I: an envelope of version %s is refused, the minimum version of its key is %s', TG_TABLE_SCHEMA, TG_TABLE_NAME, ${pg.escapeLiteral(column)}, version, required),
        SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = ${pg.escapeLiteral(column)},
        HINT = 'Its writer holds a version of the key that was retired: read the active version anew, and seal again. Rows of a backup need keyturn restore begin first.';
    END IF;
  END IF;
`;
}

/** BEFORE, ROW, INSERT and UPDATE in pg_trigger.tgtype (catalog/pg_trigger.h). */
export const TRIGGER_TYPE = 2 + 1 + 4 + 16;

export function createTrigger(recordSet: string, table: string, fields: readonly FieldColumn[]): string {
  return `CREATE TRIGGER ${quote(triggerName(recordSet))} BEFORE INSERT OR UPDATE OF ${fields.map(({ column }) => quote(column)).join(', ')}
ON ${quoteTable(table)} FOR EACH ROW EXECUTE FUNCTION ${quotedFunction(recordSet)}()`;
}

export function dropTrigger(recordSet: string, table: string): string {
  return `DROP TRIGGER IF EXISTS ${quote(triggerName(recordSet))} ON ${quoteTable(table)}`;
}

export function dropFunction(recordSet: string): string {
  return `DROP FUNCTION IF EXISTS ${quotedFunction(recordSet)}()`;
}

export const DROP_MINIMUMS = 'DROP TABLE IF EXISTS keyturn_fence.minimum_version';
/** Never CASCADE: what somebody else put there stays. */
export const DROP_SCHEMA = 'DROP SCHEMA keyturn_fence';

/** What is left in the schema. */
export const REMAINS: Statement = {
  text: `
SELECT json_build_object(
  'schema', to_regnamespace('keyturn_fence') IS NOT NULL,
  'functions', (SELECT count(*) FROM pg_proc WHERE pronamespace = to_regnamespace('keyturn_fence')),
  'relations', (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('keyturn_fence'))
) AS remains`,
};

/** One JSON document of what is installed; read in fence.ts. */
export function installedFence(recordSet: string, table: string): Statement {
  return {
    text: `
SELECT json_build_object(
  'role', current_user,
  'minimums', to_regclass('keyturn_fence.minimum_version') IS NOT NULL,
  'mayRaise', CASE WHEN to_regclass('keyturn_fence.minimum_version') IS NOT NULL
    THEN has_table_privilege(to_regclass('keyturn_fence.minimum_version'), 'INSERT')
      AND has_table_privilege(to_regclass('keyturn_fence.minimum_version'), 'UPDATE') END,
  'function', (
    SELECT json_build_object('source', p.prosrc, 'language', l.lanname, 'volatility', p.provolatile,
      'definer', p.prosecdef, 'settings', coalesce(to_json(p.proconfig), '[]'))
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = to_regnamespace('keyturn_fence') AND p.proname = $2 AND p.pronargs = 0),
  'triggers', (
    SELECT coalesce(json_agg(json_build_object(
      'table', r.relid::regclass::text,
      'there', t.oid IS NOT NULL,
      'enabled', t.tgenabled,
      'type', t.tgtype,
      'bare', t.tgqual IS NULL AND t.tgnargs = 0,
      'function', (SELECT p.proname FROM pg_proc p
        WHERE p.oid = t.tgfoid AND p.pronamespace = to_regnamespace('keyturn_fence')),
      'columns', (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_attribute a
        WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::int2[]))
    ) ORDER BY r.relid = to_regclass($1) DESC, r.relid::regclass::text), '[]')
    FROM (SELECT to_regclass($1) AS relid UNION SELECT relid FROM pg_partition_tree(to_regclass($1))) AS r
    LEFT JOIN pg_trigger t ON t.tgrelid = r.relid AND t.tgname = $3
    WHERE r.relid IS NOT NULL),
  'replicas', (
    SELECT coalesce(json_agg(who), '[]') FROM (
      SELECT 'the server' AS who WHERE current_setting('session_replication_role') = 'replica'
      UNION
      SELECT coalesce('role ' || r.rolname, 'the database')
      FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
      WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND 'session_replication_role=replica' = ANY (s.setconfig)
      ORDER BY 1) AS s)
) AS fence`,
    values: [quoteTable(table), functionName(recordSet), triggerName(recordSet)],
  };
}

export const HAS_MINIMUMS: Statement = {
  text: `SELECT to_regclass('keyturn_fence.minimum_version') IS NOT NULL AS there`,
};

/**
 * What a later revision said stands; of the same revision, the lower one. One row where what is said stands then: since when,
 * so that a repeat, and a later revision that says the same, are known for no change.
 */
export function setMinimum({ keyId, version, revision }: MinimumVersion): Statement {
  return {
    text: `
INSERT INTO keyturn_fence.minimum_version AS m (key_id, minimum, revision) VALUES ($1::bytea, $2::int8, $3::int8)
ON CONFLICT (key_id) DO UPDATE SET minimum = excluded.minimum, revision = excluded.revision,
  changed_at = CASE WHEN excluded.minimum = m.minimum THEN m.changed_at ELSE now() END
WHERE excluded.revision > m.revision OR (excluded.revision = m.revision AND excluded.minimum <= m.minimum)
RETURNING to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS since`,
    values: [keyIdBytes(keyId), version, revision],
  };
}

export function readMinimums(keyIds: readonly string[]): Statement {
  return {
    text: `
SELECT encode(m.key_id, 'hex')::uuid::text AS id, m.minimum::float8 AS minimum
FROM keyturn_fence.minimum_version AS m WHERE m.key_id = ANY ($1::bytea[])`,
    values: [keyIds.map((keyId) => Buffer.from(keyIdBytes(keyId)))],
  };
}

function keyIdBytes(keyId: string): Uint8Array {
  return Buffer.from(kidOf(keyId, 1).subarray(0, KEY_ID_LENGTH));
}
