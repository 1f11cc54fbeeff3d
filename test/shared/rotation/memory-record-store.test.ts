import { createMemoryRecordStore } from '../../../simulation/models/record-store.ts';
import { describeRecordStore } from '../../contracts/record-store.ts';

/** The fake that the steps are tested on behaves as every store must. */
for (const fields of [['secret'], ['first', 'second', 'third']]) {
  describeRecordStore(`memory, ${fields.length} fields`, async () => {
    const store = createMemoryRecordStore('people', fields);
    return {
      store,
      tenants: ['acme', 'other'],
      keyOf: (n) => [String((n * 7919) % 100_003)],
      async insert(rows) {
        for (const { key, tenant, values } of rows)
          store.rows.set(JSON.stringify(key), { key, tenant, values: [...values], plaintext: [] });
      },
      async write(key, field, value) {
        const row = store.rows.get(JSON.stringify(key));
        if (row !== undefined) row.values[field] = value;
      },
      async remove(key) {
        store.rows.delete(JSON.stringify(key));
      },
      rows: async () => [...store.rows.values()].map((row) => ({ ...row, values: [...row.values] })),
      async clear() {
        store.rows.clear();
      },
      async close() {},
    };
  });
}
