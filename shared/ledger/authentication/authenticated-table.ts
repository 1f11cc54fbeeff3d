import { LedgerError } from '../../errors/errors.ts';
import { type Item, marshalItem } from '../attribute-values.ts';
import { type ItemKey, MAC, OUTBOX, OUTBOX_MAC, PARTITION_KEY, SORT_KEY } from '../attributes.ts';
import type { Condition, TableClient, WriteResult } from '../table-client.ts';
import { type Authenticator, WITHOUT_STATE_KEY } from './authenticator.ts';
import type { Guard } from './forgery.ts';
import { isFull, itemBytes, outboxBytes } from './item-bytes.ts';

export interface AuthenticatedTable extends TableClient {
  /** Changes attributes that no MAC covers (WRITTEN_APART), and may be called without the state key. */
  annotate(key: ItemKey, expression: string, condition: Condition): Promise<WriteResult>;
}

/**
 * A table whose items all have a MAC: made with every put, and verified at every read, also in lists. Whoever reads
 * meets STATE_FORGED and goes no further. What `update` adds is not covered by it and must bring its own MAC.
 */
export function authenticateTable(
  table: TableClient,
  authenticator: Authenticator,
  guard: Guard,
): AuthenticatedTable {
  const verified = async (item: Item): Promise<Item> => {
    await guard.requireGenuine(itemBytes(item), item[MAC]?.S, nameOf(item));
    // Emptied by whoever has appended its event, and then it says nothing that anybody acts on.
    if (isFull(item)) await guard.requireGenuine(outboxBytes(item), item[OUTBOX_MAC]?.S, nameOf(item));
    return item;
  };
  return {
    newId: table.newId,
    get: async (key) => {
      const item = await table.get(key);
      return item === null ? null : verified(item);
    },
    query: async (query) => Promise.all((await table.query(query)).map(verified)),
    scan: async (scan) => Promise.all((await table.scan(scan)).map(verified)),
    put: async (key, fields, condition) => {
      const item = marshalItem({ ...fields, ...key });
      const mac = await authenticator.mac(itemBytes(item));
      const outbox = OUTBOX in item ? { [OUTBOX_MAC]: await authenticator.mac(outboxBytes(item)) } : {};
      return table.put(key, { ...fields, [MAC]: mac, ...outbox }, condition);
    },
    update: async (key, expression, condition) => {
      requireKey(authenticator);
      return table.update(key, expression, condition);
    },
    delete: async (key) => {
      requireKey(authenticator);
      return table.delete(key);
    },
    annotate: (key, expression, condition) => table.update(key, expression, condition),
  };
}

/** Without what may be a record's id. */
function nameOf(item: Item): string {
  const kind = item[SORT_KEY]?.S?.split('#', 1)[0] ?? '';
  const partition = item[PARTITION_KEY]?.S ?? '';
  return partition.startsWith('QUARANTINE#')
    ? `An item of ${partition} in the ledger`
    : `The item ${partition} / ${kind} of the ledger`;
}

function requireKey(authenticator: Authenticator): void {
  if (authenticator !== WITHOUT_STATE_KEY) return;
  throw new LedgerError(
    'LEDGER_DENIED',
    'This process has no state key, so it changes nothing in the ledger',
    {
      remedy: 'Only the functions and the command line change keys and jobs; an application reads keys',
    },
  );
}
