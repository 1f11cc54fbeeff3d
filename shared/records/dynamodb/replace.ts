import { isDeepStrictEqual } from 'node:util';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { inLanes } from '../../concurrency/in-lanes.ts';
import type { FieldChange, RecordChange, ReplaceOutcome } from '../record-store.ts';
import { fieldValue, formOf, type Item, keyItem, storedValue, tenantValues } from './attributes.ts';
import { tenantOf } from './envelopes.ts';
import { isInvalidRequest, translate } from './failures.ts';
import { type Forms, getItems } from './read.ts';
import type { Refusal, Requests } from './requests.ts';
import type { TableShape } from './table.ts';

/** Throws for what no record of this table can be, or a change that names a field there is not. */
export function assertChanges(shape: TableShape, records: readonly RecordChange[]): void {
  for (const { key, changes } of records) {
    keyItem(key, shape.keys);
    if (changes.length === 0 || changes.some(({ field }) => shape.fields[field] === undefined)) {
      throw new RangeError('A change names no field, or one that the record set does not have.');
    }
  }
}

/** One conditional UpdateItem a record, all its fields in it; so many at a time as the store allows. */
export function applyChanges(
  requests: Requests,
  shape: TableShape,
  records: readonly RecordChange[],
  forms: Forms,
): Promise<ReplaceOutcome[]> {
  return inLanes(records, requests.lanes, (record) => applyChange(requests, shape, record, forms));
}

async function applyChange(
  requests: Requests,
  shape: TableShape,
  record: RecordChange,
  forms: Forms,
): Promise<ReplaceOutcome> {
  const usual = record.changes.map(({ field, before, after }) => {
    const form = forms.get(attributeOf(shape, field)) ?? 'B';
    return { before: storedValue(form, before), after: storedValue(form, after) };
  });
  const first = await tryUpdate(requests, shape, record, usual);
  if (first === 'written') return 'replaced';
  const failed = first.item === undefined ? await refused(requests, shape, record) : first.item;
  if (failed === null) return 'missing';
  if (first.repeated && holds(shape, failed, record, 'after')) return 'replaced';
  // The same bytes written otherwise: text where others have binary, or a text that is no base64url.
  if (!holds(shape, failed, record, 'before')) return 'conflict';
  const own = record.changes.flatMap(({ field, after }) => {
    const before = failed[attributeOf(shape, field)];
    const form = formOf(before);
    return before === undefined || form === undefined ? [] : [{ before, after: storedValue(form, after) }];
  });
  if (own.length < usual.length || isDeepStrictEqual(own, usual)) return 'conflict';
  const second = await tryUpdate(requests, shape, record, own);
  if (second === 'written') return 'replaced';
  const now = await refused(requests, shape, record);
  if (now === null) return 'missing';
  return second.repeated && holds(shape, now, record, 'after') ? 'replaced' : 'conflict';
}

/** One of the record's changes, as DynamoDB has it and is to have it. */
interface StoredChange {
  readonly before: AttributeValue;
  readonly after: AttributeValue;
}

async function tryUpdate(
  requests: Requests,
  shape: TableShape,
  { key, tenant, changes }: RecordChange,
  stored: readonly StoredChange[],
): Promise<'written' | Refusal> {
  const names: Record<string, string> = {};
  const values: Record<string, AttributeValue> = {};
  const set: string[] = [];
  const conditions: string[] = [];
  for (const [i, { before, after }] of stored.entries()) {
    names[`#f${i}`] = attributeOf(shape, changes[i]?.field ?? -1);
    values[`:b${i}`] = before;
    values[`:a${i}`] = after;
    set.push(`#f${i} = :a${i}`);
    conditions.push(`#f${i} = :b${i}`);
  }
  const source = shape.tenant;
  if (!('fixed' in source)) {
    const tenants = tenantValues(tenant);
    if (tenants.length === 0) return NOT_WRITTEN;
    names['#t'] = source.attribute;
    for (const [i, value] of tenants.entries()) values[`:t${i}`] = value;
    conditions.push(`#t IN (${tenants.map((_, i) => `:t${i}`).join(', ')})`);
  } else if (source.fixed !== tenant) {
    return NOT_WRITTEN;
  }
  try {
    return await requests.update({
      Key: keyItem(key, shape.keys),
      UpdateExpression: `SET ${set.join(', ')}`,
      ConditionExpression: conditions.join(' AND '),
      ExpressionAttributeNames: names,
      ExpressionAttributeValues: values,
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    });
  } catch (error) {
    // Larger than an item may be: this record cannot be written, and the others can. No rewrap lets a value grow.
    if (isInvalidRequest(error) && changes.some(grows)) return NOT_WRITTEN;
    throw translate(error, 'UpdateItem', requests.place);
  }
}

const NOT_WRITTEN: Refusal = { item: undefined, repeated: false };

function grows({ before, after }: FieldChange): boolean {
  return after.length > before.length;
}

/** The item is missing, or it was not shown: not every engine does that. */
async function refused(requests: Requests, shape: TableShape, { key }: RecordChange): Promise<Item | null> {
  const [item = null] = await getItems(requests, shape, [key], true);
  return item;
}

/** Every changed field has these bytes, in whatever form, and it is still the tenant's. */
function holds(
  shape: TableShape,
  item: Item,
  { tenant, changes }: RecordChange,
  which: 'before' | 'after',
): boolean {
  return (
    tenantOf(shape, item) === tenant &&
    changes.every((change) => {
      const value = fieldValue(item[attributeOf(shape, change.field)]);
      return value !== null && Buffer.compare(value, change[which]) === 0;
    })
  );
}

function attributeOf({ fields }: TableShape, field: number): string {
  return fields[field]?.attribute ?? '';
}
