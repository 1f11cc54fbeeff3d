import { inLanes } from '../../concurrency/in-lanes.ts';
import type { RecordKey, StoredRecord } from '../record-store.ts';
import { type Form, formOf, type Item, keyItem, keyOf, nameOfKey } from './attributes.ts';
import { tenantOf, valuesOf } from './envelopes.ts';
import type { Requests } from './requests.ts';
import type { TableShape } from './table.ts';

/** Keys of one BatchGetItem, by DynamoDB's limit. Its answer ends at 16 MB, and the rest is asked for again. */
const BATCH_KEYS = 100;

/** Key, tenant and fields of the items, in the order of `keys`; null where there is none. */
export async function getItems(
  requests: Requests,
  shape: TableShape,
  keys: readonly RecordKey[],
  consistent: boolean,
): Promise<(Item | null)[]> {
  // One request must not name a key twice.
  const wanted = new Map(keys.map((key) => [nameOfKey(key), keyItem(key, shape.keys)]));
  const items = [...wanted.values()];
  const batches = Array.from({ length: Math.ceil(items.length / BATCH_KEYS) }, (_, i) =>
    items.slice(i * BATCH_KEYS, (i + 1) * BATCH_KEYS),
  );
  const found = await inLanes(batches, requests.lanes, (batch) =>
    requests.batchGet(batch, { ...shape.projection, ConsistentRead: consistent }),
  );
  const byName = new Map(found.flat().map((item) => [nameOfKey(keyOf(item, shape.keys)), item]));
  return keys.map((key) => byName.get(nameOfKey(key)) ?? null);
}

/** The form in which each field was last seen: what a change is tried with first. */
export type Forms = Map<string, Form>;

export async function readRecords(
  requests: Requests,
  shape: TableShape,
  keys: readonly RecordKey[],
  forms: Forms,
): Promise<(StoredRecord | null)[]> {
  const items = await getItems(requests, shape, keys, true);
  return items.map((item, i) => {
    if (item === null) return null;
    for (const { attribute } of shape.fields) {
      const form = formOf(item[attribute]);
      if (form !== undefined) forms.set(attribute, form);
    }
    return { key: keys[i] ?? [], tenant: tenantOf(shape, item), values: valuesOf(shape, item) };
  });
}
