import type { RecordKey, Scope } from '../../record-store.ts';
import type { KeyColumn, KeyRange } from '../cursor.ts';
import type { TableShape } from '../table.ts';
import { identifierArray, isCanonical } from '../values.ts';
import { quote } from './identifiers.ts';

/** Numbers the parameters of a statement. */
export class Parameters {
  readonly values: unknown[] = [];

  add(value: unknown, type: string): string {
    this.values.push(value);
    return `$${this.values.length}::${type}`;
  }
}

export function keyColumns(shape: TableShape): readonly string[] {
  return shape.keys.map(({ column }) => `t.${quote(column)}`);
}

/** A row comparison: it is the keyset condition for compound keys that an index on them answers. */
export function compareKey(shape: TableShape, operator: '>' | '<=', key: RecordKey, p: Parameters): string {
  const bounds = shape.keys.map(({ type }, i) => p.add(key[i], type));
  return `(${keyColumns(shape).join(', ')}) ${operator} (${bounds.join(', ')})`;
}

export function inRange(shape: TableShape, range: KeyRange, p: Parameters): readonly string[] {
  return [
    ...(range.from === null ? [] : [compareKey(shape, '>', range.from, p)]),
    ...(range.to === null ? [] : [compareKey(shape, '<=', range.to, p)]),
  ];
}

/** The condition of a tenant that no row can have. */
export const NO_TENANT = 'false';

export function ofTenant(shape: TableShape, { tenant }: Pick<Scope, 'tenant'>, p: Parameters): string {
  const source = shape.tenant;
  if ('fixed' in source) return String(source.fixed === tenant);
  if (!isCanonical(source.type, tenant)) return NO_TENANT;
  return `t.${quote(source.column)} = ${p.add(tenant, source.type)}`;
}

/** The text of the row's tenant. */
export function tenantText(shape: TableShape, p: Parameters): string {
  const source = shape.tenant;
  return 'fixed' in source ? p.add(source.fixed, 'text') : `t.${quote(source.column)}::text`;
}

export function where(conditions: readonly string[]): string {
  return conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
}

export interface InputColumn {
  readonly name: string;
  /** The element's type. */
  readonly type: string;
  /** A binary array, as long as every other one of the statement. */
  readonly values: Buffer;
}

/**
 * `unnest` of parallel arrays as c(…, i), i from 1. The arrays stand in subqueries so that the planner does not see
 * how many elements they have: for some hundred keys of a table of some ten thousand rows it would read the whole
 * table and hash it, at a tenth of the speed of looking the keys up.
 */
export function inputRows(columns: readonly InputColumn[], p: Parameters): string {
  const arrays = columns.map(({ type, values }) => `(SELECT ${p.add(values, `${type}[]`)})`);
  return `unnest(${arrays.join(', ')}) WITH ORDINALITY AS c(${columns.map(({ name }) => name).join(', ')}, i)`;
}

/** Columns k0, k1, … of the keys; `toColumns` of them equal `t`'s in `onKey`. */
export function keyInputs(keys: readonly KeyColumn[], records: readonly RecordKey[]): readonly InputColumn[] {
  return keys.map(({ type }, i) => ({
    name: `k${i}`,
    type,
    values: identifierArray(
      type,
      records.map((key) => key[i] ?? ''),
    ),
  }));
}

export function onKey(shape: TableShape): string {
  return keyColumns(shape)
    .map((column, i) => `${column} = c.k${i}`)
    .join(' AND ');
}
