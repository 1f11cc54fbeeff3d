import type { StoredCensus } from '../rotation/rotation.ts';
import {
  censusList,
  itemKeys,
  LIST_INDEX,
  LIST_KEY,
  LISTS,
  PARTITION_KEY,
  STORED_WITH,
  storedCensusPartition,
} from './attributes.ts';
import type { AuthenticatedTable } from './authentication/authenticated-table.ts';
import { parseItem, storedCensusSchema } from './items.ts';
import type { Ledger } from './ledger.ts';
import { createOne, type Kind } from './stored-items.ts';

/** Censuses that were kept, in their key's partition in the order of their times. Nothing ever changes one. */

type CensusLedger = Pick<Ledger, 'putStoredCensus' | 'listStoredCensuses' | 'findStoredCensus'>;

const CENSUS: Kind<StoredCensus> = {
  name: 'stored census',
  schema: storedCensusSchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ keyId, censusId, result }) => itemKeys.storedCensus(keyId, result.takenAt, censusId),
  listed: ({ censusId, result }) => ({ list: censusList(censusId), order: result.takenAt }),
};

export function createCensusLedger(table: AuthenticatedTable): CensusLedger {
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
      return items.map((item) => parseItem(CENSUS, item));
    },
    findStoredCensus: async (censusId) => {
      const [item] = await table.query({
        index: LIST_INDEX,
        condition: '#list = :list',
        names: { '#list': LIST_KEY },
        values: { ':list': censusList(censusId) },
        limit: 1,
      });
      return item === undefined ? findRecent(table, censusId) : parseItem(CENSUS, item);
    },
  };
}

/** Until the next export of the audit a census is listed with all whose outbox is open. */
async function findRecent(table: AuthenticatedTable, censusId: string): Promise<StoredCensus | null> {
  const query = {
    index: LIST_INDEX,
    condition: '#list = :list',
    names: { '#list': LIST_KEY },
    values: { ':list': LISTS.openOutboxes },
  };
  const found = await table.list(query, (item) =>
    item['censusId']?.S === censusId ? [parseItem(CENSUS, item)] : [],
  );
  return found.flat()[0] ?? null;
}
