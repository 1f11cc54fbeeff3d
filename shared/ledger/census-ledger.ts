import type { StoredCensus } from '../rotation/rotation.ts';
import { itemKeys, LIST_INDEX, LIST_KEY, PARTITION_KEY, storedCensusPartition } from './attributes.ts';
import { parseItem, storedCensusSchema } from './items.ts';
import type { Ledger } from './ledger.ts';
import { createOne, type Kind } from './stored-items.ts';
import type { TableClient } from './table-client.ts';

/** Censuses that were kept, in their key's partition in the order of their times. Nothing ever changes one. */

type CensusLedger = Pick<Ledger, 'putStoredCensus' | 'listStoredCensuses' | 'findStoredCensus'>;

const CENSUS: Kind<StoredCensus> = {
  name: 'stored census',
  schema: storedCensusSchema,
  keyOf: ({ keyId, censusId, result }) => itemKeys.storedCensus(keyId, result.takenAt, censusId),
  // A partition of the list for each: it is found by its id alone.
  listed: ({ censusId, result }) => ({ list: listOf(censusId), order: result.takenAt }),
};

export function createCensusLedger(table: TableClient): CensusLedger {
  return {
    putStoredCensus: (census) => createOne(table, CENSUS, census),
    listStoredCensuses: async (keyId, limit) => {
      const items = await table.query({
        condition: '#pk = :pk',
        names: { '#pk': PARTITION_KEY },
        values: { ':pk': storedCensusPartition(keyId) },
        newestFirst: true,
        limit,
      });
      return items.map((item) => parseItem(storedCensusSchema, item, CENSUS.name));
    },
    findStoredCensus: async (censusId) => {
      const [item] = await table.query({
        index: LIST_INDEX,
        condition: '#list = :list',
        names: { '#list': LIST_KEY },
        values: { ':list': listOf(censusId) },
        limit: 1,
      });
      return item === undefined ? null : parseItem(storedCensusSchema, item, CENSUS.name);
    },
  };
}

function listOf(censusId: string): string {
  return `census#${censusId}`;
}
