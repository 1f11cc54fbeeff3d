import { createMemoryRecordStore } from '../../../simulation/models/record-store.ts';
import { createMemorySearch } from '../../../simulation/models/store-search.ts';
import { describeStoreSearch } from '../../contracts/store-search.ts';

const COLUMNS = ['declared', 'left', 'other'] as const;

/** The fake that purges are tested and simulated on finds what every search must. */
describeStoreSearch('memory', async () => {
  const store = createMemoryRecordStore('people', COLUMNS);
  const table = { table: 'people', columns: COLUMNS, declared: ['declared'], store };
  return {
    table: 'people',
    declaredAs: 'people',
    search: createMemorySearch('searched', [table], () => 1),
    async insert(rows) {
      for (const row of rows) {
        const key = [String(store.rows.size + 1)];
        const values = COLUMNS.map((column) => row[column] ?? null);
        store.rows.set(JSON.stringify(key), { key, tenant: 'acme', values, plaintext: [] });
      }
    },
    async close() {},
  };
});
