import type { TenantKey } from '../keyring/key.ts';
import type { Restore } from '../rotation/restore.ts';
import {
  itemKeys,
  KEY_PREFIX,
  PARTITION_KEY,
  RESTORE_PARTITION,
  SORT_KEY,
  STORED_WITH,
} from './attributes.ts';
import { parseItem, restoreSchema } from './items.ts';
import type { Ledger } from './ledger.ts';
import { createOne, type Kind, readOne, replaceOne } from './stored-items.ts';
import type { TableClient } from './table-client.ts';

/** Restores, all in one partition: there are few, and their list is read strongly consistent. */

type RestoreLedger = Pick<Ledger, 'createRestore' | 'getRestore' | 'replaceRestore' | 'listRestores'>;

const RESTORE: Kind<Restore> = {
  name: 'restore',
  schema: restoreSchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ restoreId }) => itemKeys.restore(restoreId),
};

export function createRestoreLedger(table: TableClient): RestoreLedger {
  return {
    createRestore: (restore) => createOne(table, RESTORE, restore),
    getRestore: async (restoreId) => readOne(table, RESTORE, itemKeys.restore(restoreId)),
    replaceRestore: (restore) => replaceOne(table, RESTORE, restore),
    listRestores: async () => {
      const items = await table.query({
        condition: '#pk = :pk',
        names: { '#pk': PARTITION_KEY },
        values: { ':pk': RESTORE_PARTITION },
      });
      const restores = items.map((item) => parseItem(RESTORE, item));
      return restores.toSorted((a, b) => compare(b.begunAt, a.begunAt) || compare(b.restoreId, a.restoreId));
    },
  };
}

/** Every key of the table, read from the table itself: no index lags behind it. */
export async function scanKeys(table: TableClient, kind: Kind<TenantKey>): Promise<readonly TenantKey[]> {
  const items = await table.scan({
    condition: 'begins_with(#pk, :prefix) AND #sk = :sk',
    names: { '#pk': PARTITION_KEY, '#sk': SORT_KEY },
    values: { ':prefix': KEY_PREFIX, ':sk': itemKeys.key('', '').sk },
  });
  return items.map((item) => parseItem(kind, item));
}

/** By code units: the same order on every machine, whatever its locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
