import type { RecordSetConfig } from '../../config/schema.ts';
import { MIN_ENVELOPE_LENGTH } from '../../envelope/layout.ts';
import { RecordStoreError, type RecordStoreErrorCode } from '../../errors/errors.ts';
import { type Catalog, type CatalogColumn, suggest } from './catalog.ts';
import type { KeyColumn } from './cursor.ts';
import { type IdentifierType, isIdentifierType } from './values.ts';

export interface FieldColumn {
  readonly name: string;
  readonly column: string;
  readonly form: 'bytea' | 'text';
  /** The plaintext column, where one is declared and still there. */
  readonly plaintext: { readonly column: string; readonly type: string } | undefined;
}

export type TenantSource =
  | { readonly fixed: string }
  | {
      readonly column: string;
      readonly type: IdentifierType;
      /** An index finds the tenant's rows. */
      readonly indexed: boolean;
    };

/** The record set as the database has it. */
export interface TableShape {
  readonly table: string;
  readonly keys: readonly KeyColumn[];
  readonly tenant: TenantSource;
  readonly fields: readonly FieldColumn[];
}

export interface Problem {
  readonly code: RecordStoreErrorCode;
  /** A sentence without its full stop. */
  readonly what: string;
}

interface Reading {
  readonly shape: TableShape;
  /** What makes the shape unusable. */
  readonly problems: readonly Problem[];
}

const FIELD_FORMS: Readonly<Record<string, FieldColumn['form']>> = {
  bytea: 'bytea',
  text: 'text',
  varchar: 'text',
};
/** Characters of the shortest envelope as base64url. */
const MIN_TEXT_LENGTH = Math.ceil((MIN_ENVELOPE_LENGTH * 4) / 3);

const TABLE_KINDS = new Set(['r', 'p']);
const KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  c: 'a composite type',
  i: 'an index',
};

export function readShape(config: RecordSetConfig, catalog: Catalog): Reading {
  const problems: Problem[] = [];
  const report = (code: RecordStoreErrorCode, what: string) => problems.push({ code, what });
  if (!TABLE_KINDS.has(catalog.kind)) {
    report('TABLE_NOT_FOUND', `"${config.table}" is ${KINDS[catalog.kind] ?? 'something else'}, not a table`);
  }
  const columns = new Map(catalog.columns.map((column) => [column.name, column]));
  const find = (name: string, role: string): CatalogColumn | undefined => {
    const column = columns.get(name);
    if (column === undefined) {
      report('COLUMN_NOT_FOUND', `${role} "${name}" does not exist.${suggest(name, [...columns.keys()])}`);
    }
    return column;
  };
  const identifier = (name: string, role: string): KeyColumn => {
    const column = find(name, role);
    if (column !== undefined && isIdentifierType(column.type)) return { column: name, type: column.type };
    if (column !== undefined) {
      report('COLUMN_TYPE', `${role} "${name}" is ${column.type}; it must be an integer, uuid or text`);
    }
    return { column: name, type: 'text' };
  };
  const keys = config.key.map((name) => identifier(name, 'key column'));
  const tenant =
    'fixed' in config.tenant
      ? config.tenant
      : {
          ...identifier(config.tenant.column, 'tenant column'),
          indexed: catalog.leading.includes(config.tenant.column),
        };
  const fields = config.fields.map((field): FieldColumn => {
    const source = field.plaintextColumn === undefined ? undefined : columns.get(field.plaintextColumn);
    const plaintext = source && { column: source.name, type: source.type };
    if (!columns.has(field.column) && field.plaintextColumn !== undefined && source === undefined) {
      find(field.plaintextColumn, `plaintext column of field "${field.name}"`);
    }
    const column = find(field.column, `column of field "${field.name}"`);
    const form = column && FIELD_FORMS[column.type];
    if (column !== undefined && form === undefined) {
      report(
        'COLUMN_TYPE',
        `column "${field.column}" is ${column.type}; envelopes need bytea, text or varchar`,
      );
    }
    return { name: field.name, column: field.column, form: form ?? 'bytea', plaintext };
  });
  problems.push(...findBlindSpots(config, catalog));
  return { shape: { table: config.table, keys, tenant, fields }, problems };
}

/**
 * What hides rows from a walk in key order, and so from listings and the census: NULL is in no key range, and a key
 * that is not unique names one row for several. No operation goes on with them.
 */
function findBlindSpots(config: RecordSetConfig, catalog: Catalog): readonly Problem[] {
  const problems: Problem[] = [];
  const report = (code: RecordStoreErrorCode, what: string) => problems.push({ code, what });
  const columns = new Map(catalog.columns.map((column) => [column.name, column]));
  for (const name of config.key) {
    if (columns.get(name)?.notNull === false) {
      report(
        'KEY_COLUMNS_NOT_UNIQUE',
        `key column "${name}" may be NULL (NOT NULL of the column itself is needed, and validated)`,
      );
    }
  }
  if ('column' in config.tenant && columns.get(config.tenant.column)?.deterministic === false) {
    report(
      'COLUMN_TYPE',
      `tenant column "${config.tenant.column}" has a nondeterministic collation, by which the rows of two tenants can be one's`,
    );
  }
  const wanted = [...config.key].sort().join('\0');
  const keyExists = config.key.every((name) => columns.has(name));
  if (keyExists && !catalog.uniques.some((unique) => [...unique].sort().join('\0') === wanted)) {
    const list = config.key.map((name) => `"${name}"`).join(', ');
    report('KEY_COLUMNS_NOT_UNIQUE', `no primary key or unique index is on exactly ${list}`);
  }
  if (catalog.hasChildren) {
    report('KEY_COLUMNS_NOT_UNIQUE', 'other tables inherit from it, and their rows can repeat its keys');
  }
  if (catalog.rowSecurity) {
    report(
      'STORE_DENIED',
      'row-level security hides rows from this role, so that no census could be trusted',
    );
  }
  return problems;
}

/** What makes a rotation fail later on, beyond what `readShape` finds. */
export function findHazards(config: RecordSetConfig, catalog: Catalog): readonly Problem[] {
  const problems: Problem[] = [];
  const report = (code: RecordStoreErrorCode, what: string) => problems.push({ code, what });
  const columns = new Map(catalog.columns.map((column) => [column.name, column]));

  if (catalog.readOnly)
    report('STORE_READ_ONLY', 'the server is a read-only standby, or its sessions are read-only');
  for (const field of config.fields) {
    const column = columns.get(field.column);
    if (column === undefined) continue;
    if (column.generated)
      report('COLUMN_TYPE', `column "${field.column}" is generated and cannot be written`);
    if (column.maxLength !== null && column.maxLength < MIN_TEXT_LENGTH) {
      report(
        'COLUMN_TYPE',
        `column "${field.column}" holds ${column.maxLength} characters; the shortest envelope has ${MIN_TEXT_LENGTH}`,
      );
    }
    if (!column.canUpdate) report('STORE_DENIED', `the role may not UPDATE column "${field.column}"`);
  }
  const read = [...config.key, ...config.fields.flatMap((f) => [f.column, f.plaintextColumn ?? f.column])];
  if ('column' in config.tenant) read.push(config.tenant.column);
  for (const name of new Set(read)) {
    if (columns.get(name)?.canSelect === false)
      report('STORE_DENIED', `the role may not SELECT column "${name}"`);
  }
  return problems;
}

/** One error that tells all of them; its code is the first one's. */
export function problemError(
  recordSet: string,
  table: string,
  problems: readonly [Problem, ...Problem[]],
): RecordStoreError {
  const text = problems.map(({ what }) => what.replace(/\.$/, '')).join('; ');
  const stop = text.endsWith('?') ? '' : '.';
  return new RecordStoreError(
    problems[0].code,
    `Record set "${recordSet}", table "${table}": ${text}${stop}`,
    {
      remedy: 'Correct the configuration or the table; `keyturn adopt` creates missing envelope columns.',
    },
  );
}
