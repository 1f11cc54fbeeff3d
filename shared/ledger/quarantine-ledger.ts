import { itemKeys, PARTITION_KEY, quarantinePartition } from './attributes.ts';
import { parseItem, quarantinedSchema } from './items.ts';
import type { Ledger } from './ledger.ts';
import type { TableClient } from './table-client.ts';

/** Records that were set aside, in their key's partition. Writing one again replaces what was known of it. */

type QuarantineLedger = Pick<Ledger, 'putQuarantined' | 'listQuarantined' | 'deleteQuarantined'>;

export function createQuarantineLedger(table: TableClient): QuarantineLedger {
  return {
    putQuarantined: async (record) => {
      const { keyId, recordSet, recordId, field } = record;
      await table.put(itemKeys.quarantine(keyId, recordSet, recordId, field), record);
    },
    listQuarantined: async (keyId) => {
      const items = await table.query({
        condition: '#pk = :pk',
        names: { '#pk': PARTITION_KEY },
        values: { ':pk': quarantinePartition(keyId) },
      });
      return items.map((item) => parseItem(quarantinedSchema, item, 'quarantined record'));
    },
    deleteQuarantined: async ({ keyId, recordSet, recordId, field }) => {
      await table.delete(itemKeys.quarantine(keyId, recordSet, recordId, field));
    },
  };
}
