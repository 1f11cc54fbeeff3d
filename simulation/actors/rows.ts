import { KeyturnError } from '../../shared/errors/errors.ts';
import type { RecordKey } from '../../shared/records/record-store.ts';
import type { MemoryRecordStore, MemoryRow } from '../models/record-store.ts';
import { tellRefusal } from '../refusals.ts';
import type { World } from '../world.ts';

/** Writes beside the pipeline: of applications, and of accidents. The stores say nothing of them to the history. */

export interface NewRow {
  readonly id: RecordKey;
  readonly tenant: string;
  readonly values: readonly (Uint8Array | null)[];
  /** By field. */
  readonly plaintexts: readonly (Uint8Array | null)[];
}

/** In one effect. Throws STORE_FENCED. */
export function putRow(world: World, recordSet: string, by: string, row: NewRow): void {
  const { id, tenant, plaintexts } = row;
  const store = storeOf(world, recordSet);
  try {
    store.put({ key: id, tenant, values: [...row.values], plaintext: [] });
  } catch (error) {
    if (error instanceof KeyturnError)
      tellRefusal(world.history, `${recordSet} ${id.join('/')}`, error.code, by);
    throw error;
  }
  // As they are stored: what is the same later is the same object.
  const values = rowOf(store, id)?.values ?? [];
  world.history.add({
    kind: 'record',
    recordSet,
    id,
    tenant,
    values,
    cause: 'application',
    plaintexts,
    by,
  });
}

export function removeRow(world: World, recordSet: string, by: string, id: RecordKey): void {
  const store = storeOf(world, recordSet);
  const row = rowOf(store, id);
  if (row === undefined || !store.remove(id)) return;
  const { tenant } = row;
  world.history.add({
    kind: 'record',
    recordSet,
    id,
    tenant,
    values: null,
    cause: 'application',
    plaintexts: null,
    by,
  });
}

/** Other bytes than anybody wrote. Null leaves a value as it is. */
export function damageRow(
  world: World,
  recordSet: string,
  { key, tenant, values }: MemoryRow,
  damaged: readonly (Uint8Array | null)[],
): void {
  const row = { key, tenant, values: values.map((value, i) => damaged[i] ?? value), plaintext: [] };
  storeOf(world, recordSet).rows.set(JSON.stringify(key), row);
  world.history.add({
    kind: 'record',
    recordSet,
    id: key,
    tenant,
    values: row.values,
    cause: 'damage',
    plaintexts: null,
    by: 'accident',
  });
}

export function storeOf({ stores }: Pick<World, 'stores'>, recordSet: string): MemoryRecordStore {
  const store = stores[recordSet];
  if (store === undefined) throw new Error(`There is no record set ${recordSet}`);
  return store;
}

export function rowOf({ rows }: MemoryRecordStore, id: RecordKey): MemoryRow | undefined {
  return rows.get(JSON.stringify(id));
}
