import { LedgerError, UnreadableItemError } from '../../errors/errors.ts';
import { type Item, marshalItem } from '../attribute-values.ts';
import {
  CANARY,
  type ItemKey,
  KEY_PREFIX,
  MAC,
  OUTBOX,
  OUTBOX_MAC,
  PARTITION_KEY,
  SORT_KEY,
} from '../attributes.ts';
import type { OnSkipped } from '../ledger.ts';
import type { Condition, Query, TableClient, WriteResult } from '../table-client.ts';
import { type Authenticator, WITHOUT_STATE_KEY } from './authenticator.ts';
import type { Guard } from './forgery.ts';
import { isFull, itemBytes, outboxBytes } from './item-bytes.ts';

export interface AuthenticatedTable extends TableClient {
  /**
   * As `query`, without the items that cannot be verified, each of which is told of as forged, and those that cannot be
   * `read`, as a newer release's. For lists that nothing is decided by, so that one item does not keep all the others from
   * who looks after them.
   */
  list<T>(query: Query, read: (item: Item) => T, onSkipped?: OnSkipped): Promise<readonly T[]>;
  /** Changes attributes that no MAC covers (WRITTEN_APART), and may be called without the state key. */
  annotate(key: ItemKey, expression: string, condition: Condition): Promise<WriteResult>;
}

/**
 * A table whose items all have a MAC: made with every put, and verified at every read. Whoever reads meets STATE_FORGED
 * and goes no further; only `list` goes on without the item. What `update` adds is not covered by it and must bring its own MAC.
 */
export function authenticateTable(
  table: TableClient,
  authenticator: Authenticator,
  guard: Guard,
): AuthenticatedTable {
  const isGenuine = async (item: Item): Promise<boolean> =>
    (await guard.isGenuine(itemBytes(item), item[MAC]?.S)) &&
    // Emptied by whoever has appended its event, and then it says nothing that anybody acts on.
    (!isFull(item) || (await guard.isGenuine(outboxBytes(item), item[OUTBOX_MAC]?.S)));
  const verified = async (item: Item): Promise<Item> => {
    if (!(await isGenuine(item))) throw guard.forged(nameOf(item));
    return item;
  };
  const allVerified = async (items: readonly Item[]): Promise<readonly Item[]> =>
    Promise.all(items.filter((item) => !isOnlyMarked(item)).map(verified));
  return {
    newId: table.newId,
    get: async (key) => {
      const item = await table.get(key);
      return item === null || isOnlyMarked(item) ? null : verified(item);
    },
    query: async (query) => allVerified(await table.query(query)),
    scan: async (scan) => allVerified(await table.scan(scan)),
    list: async (query, read, onSkipped = () => {}) => {
      const items = await table.query(query);
      const readOne = async (item: Item) => {
        const genuine = await isGenuine(item);
        const value = genuine ? readIfKnown(item, read) : null;
        if (value !== null) return [value.read];
        if (genuine) guard.unreadable(nameOf(item));
        else guard.forged(nameOf(item));
        onSkipped(nameOf(item));
        return [];
      };
      return (await Promise.all(items.map(readOne))).flat();
    },
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

function readIfKnown<T>(item: Item, read: (item: Item) => T): { readonly read: T } | null {
  try {
    return { read: read(item) };
  } catch (error) {
    if (error instanceof UnreadableItemError) return null;
    throw error;
  }
}

const MARK: ReadonlySet<string> = new Set([PARTITION_KEY, SORT_KEY, CANARY]);

/** What an application's mark makes where there is no key: it is none, and nobody meets it. */
function isOnlyMarked(item: Item): boolean {
  const isKey = item[PARTITION_KEY]?.S?.startsWith(KEY_PREFIX) === true;
  return isKey && Object.keys(item).every((name) => MARK.has(name));
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
