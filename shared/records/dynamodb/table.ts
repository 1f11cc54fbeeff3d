import type { GlobalSecondaryIndexDescription, TableDescription } from '@aws-sdk/client-dynamodb';
import type { RecordSetConfig } from '../../config/schema.ts';
import { RecordStoreError, type RecordStoreErrorCode } from '../../errors/errors.ts';
import { isKeyType, type KeyAttribute, type KeyType } from './attributes.ts';
import type { Place } from './failures.ts';

/** The record set as DescribeTable has it. */
export interface TableShape {
  readonly keys: readonly KeyAttribute[];
  readonly tenant: TenantSource;
  readonly fields: readonly { readonly name: string; readonly attribute: string }[];
  /** Of key, tenant and fields: all that a listing, a read and a census take along. */
  readonly projection: Projection;
  /** Of the key alone. */
  readonly keyProjection: Projection;
}

export type TenantSource =
  | { readonly fixed: string }
  | {
      readonly attribute: string;
      /** The attribute's name in `projection`. */
      readonly place: string;
      /** It is the table's partition key, of this type: a Query finds the tenant's items. */
      readonly partition?: KeyType;
      /** Finds the tenant's keys. */
      readonly index?: { readonly name: string; readonly type: KeyType };
    };

export interface Projection {
  readonly ProjectionExpression: string;
  readonly ExpressionAttributeNames: Record<string, string>;
}

export interface Problem {
  readonly code: RecordStoreErrorCode;
  /** A sentence without its full stop. */
  readonly what: string;
}

/** As the table is, and what makes it unusable. */
export function readShape(
  config: RecordSetConfig,
  table: TableDescription,
): { readonly shape: TableShape; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [...replicaProblems(table)];
  const types = new Map(table.AttributeDefinitions?.map((each) => [each.AttributeName, each.AttributeType]));
  const typeOf = (name: string): KeyType => {
    const type = types.get(name);
    return isKeyType(type) ? type : 'S';
  };
  const key = keyNames(table);
  if (key.join('\0') !== config.key.join('\0')) {
    const declared = config.key.map((name) => `"${name}"`).join(', ');
    problems.push({
      code: 'KEY_COLUMNS_NOT_UNIQUE',
      what: `the key is declared as ${declared}, and the table's is ${describeKey(key)}`,
    });
  }
  const fields = config.fields.map(({ name, column }) => ({ name, attribute: column }));
  const attributes = fields.map(({ attribute }) => attribute);
  const keys = config.key.map((name) => ({ name, type: typeOf(name) }));
  const names = new Set([...config.key, ...attributes]);
  let tenant: TenantSource;
  if ('fixed' in config.tenant) {
    tenant = config.tenant;
  } else {
    const attribute = config.tenant.column;
    names.add(attribute);
    const place = `#p${[...names].indexOf(attribute)}`;
    tenant = {
      ...{ attribute, place },
      ...(attribute === config.key[0] ? { partition: typeOf(attribute) } : {}),
      ...(config.index === undefined ? {} : { index: { name: config.index, type: typeOf(attribute) } }),
    };
    if (config.index !== undefined) problems.push(...indexProblems(config.index, attribute, table));
    if (config.index !== undefined && types.get(attribute) === 'B') {
      problems.push({ code: 'COLUMN_TYPE', what: `tenant attribute "${attribute}" is binary` });
    }
  }
  const projection = project([...names]);
  return { shape: { keys, tenant, fields, projection, keyProjection: project(config.key) }, problems };
}

function replicaProblems(table: TableDescription): readonly Problem[] {
  const replicated = (table.Replicas ?? []).length > 0 && table.MultiRegionConsistency !== 'STRONG';
  return replicated
    ? [
        {
          code: 'TABLE_UNSUITABLE',
          what: 'it is a global table without strong consistency between its regions: the last writer wins there, so a rewrap can undo what an application writes in another region at that moment, and no census sees it',
        },
      ]
    : [];
}

function project(names: readonly string[]): Projection {
  return {
    ProjectionExpression: names.map((_, i) => `#p${i}`).join(', '),
    ExpressionAttributeNames: Object.fromEntries(names.map((name, i) => [`#p${i}`, name])),
  };
}

/** Partition key, then sort key. */
function keyNames({ KeySchema = [] }: Pick<TableDescription, 'KeySchema'>): readonly string[] {
  return (['HASH', 'RANGE'] as const).flatMap(
    (kind) => KeySchema.find(({ KeyType }) => KeyType === kind)?.AttributeName ?? [],
  );
}

function describeKey([partition = 'none', sort]: readonly string[]): string {
  return sort === undefined
    ? `"${partition}" alone`
    : `"${partition}" (partition key), "${sort}" (sort key), in this order`;
}

function indexProblems(name: string, tenant: string, table: TableDescription): readonly Problem[] {
  const found = table.GlobalSecondaryIndexes?.find(({ IndexName }) => IndexName === name);
  const what = indexProblem(found, tenant, keyNames(table));
  return what === undefined ? [] : [{ code: 'TABLE_UNSUITABLE', what: `index "${name}" ${what}` }];
}

function indexProblem(
  index: GlobalSecondaryIndexDescription | undefined,
  tenant: string,
  tableKey: readonly string[],
): string | undefined {
  if (index === undefined) return 'is no global secondary index of the table';
  const [partition, sort] = keyNames(index);
  if (partition !== tenant)
    return `has the partition key "${partition}"; it must be the tenant attribute "${tenant}"`;
  // A cursor is a record's key, and an index goes on after that only where it is all of the place in it.
  if (sort !== undefined && !tableKey.includes(sort)) {
    return `has the sort key "${sort}"; it may have one of the table's own key attributes, or none`;
  }
  return index.IndexStatus === 'CREATING' || index.Backfilling === true
    ? 'is being made and does not have every record yet'
    : undefined;
}

/** One error that tells all of them; its code is the first one's. */
export function problemError(
  { recordSet, table }: Place,
  problems: readonly [Problem, ...Problem[]],
): RecordStoreError {
  const text = problems.map(({ what }) => what).join('; ');
  return new RecordStoreError(problems[0].code, `Record set "${recordSet}", table "${table}": ${text}.`, {
    remedy: 'Correct the configuration or the table.',
  });
}
