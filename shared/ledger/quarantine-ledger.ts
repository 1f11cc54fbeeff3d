import { itemKeys, PARTITION_KEY, quarantinePartition, STORED_WITH } from './attributes.ts';
import { parseItem, quarantinedSchema, type Readable } from './items.ts';
import type { Ledger, QuarantinedRecord } from './ledger.ts';
import type { TableClient } from './table-client.ts';

/** Records that were set aside, in their key's partition. Writing one again replaces what was known of it. */

type QuarantineLedger = Pick<Ledger, 'putQuarantined' | 'listQuarantined' | 'deleteQuarantined'>;

const QUARANTINED: Readable<QuarantinedRecord> = {
  name: 'quarantined record',
  schema: quarantinedSchema,
  storedWith: STORED_WITH.put,
};

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
      return items.map((item) => parseItem(QUARANTINED, item));
    },
    deleteQuarantined: async ({ keyId, recordSet, recordId, field }) => {
      await table.delete(itemKeys.quarantine(keyId, recordSet, recordId, field));
    },
  };
}
