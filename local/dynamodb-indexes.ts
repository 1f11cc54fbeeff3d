import { getIndexActions, type StoredTable } from 'dynalite/db/index.js';
import { Level } from 'level';

/**
 * dynalite changes an item's index entries first and the item after them, by writes of their own: a process that is killed
 * in between leaves an entry of an item that never was, or an item that no list names. DynamoDB never does; and nothing
 * would ever mend it. So the indexes are compared with their tables before they are used.
 */

/** Returns how many entries were put right. The folder must be nobody else's. */
export async function repairIndexes(folder: string): Promise<number> {
  const level = new Level<string, object>(folder, { valueEncoding: 'json' });
  try {
    let repaired = 0;
    for await (const table of level.values(named('table~'))) {
      if (isTable(table)) repaired += await repairTable(level, table);
    }
    return repaired;
  } finally {
    await level.close();
  }
}

type Store = Level<string, object>;

async function repairTable(level: Store, table: StoredTable): Promise<number> {
  const kinds = [
    ['local', table.LocalSecondaryIndexes ?? []],
    ['global', table.GlobalSecondaryIndexes ?? []],
  ] as const;
  const indexed = kinds.filter(([, indexes]) => indexes.length > 0);
  if (indexed.length === 0) return 0;
  const wanted = new Map<string, object>();
  for await (const item of level.values(named(`item-${table.TableName}~`))) {
    for (const [kind, indexes] of indexed) {
      for (const { index, key, item: entry } of getIndexActions(indexes, null, item, table).puts)
        wanted.set(`index-${kind}~${table.TableName}~${index}~${key}`, entry);
    }
  }
  const changes: ({ type: 'put'; key: string; value: object } | { type: 'del'; key: string })[] = [];
  for (const [kind] of indexed) {
    for await (const [key, entry] of level.iterator(named(`index-${kind}~${table.TableName}~`))) {
      const value = wanted.get(key);
      wanted.delete(key);
      if (value === undefined) changes.push({ type: 'del', key });
      else if (JSON.stringify(value) !== JSON.stringify(entry)) changes.push({ type: 'put', key, value });
    }
  }
  for (const [key, value] of wanted) changes.push({ type: 'put', key, value });
  if (changes.length > 0) await level.batch(changes, { sync: true });
  return changes.length;
}

/** A name of a table or an index has no `~`, so nothing else begins like that. */
function named(prefix: string): { readonly gte: string; readonly lt: string } {
  return { gte: prefix, lt: `${prefix.slice(0, -1)}\u007f` };
}

function isTable(value: object): value is StoredTable {
  return 'TableName' in value && 'KeySchema' in value;
}
