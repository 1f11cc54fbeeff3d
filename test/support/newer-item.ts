import { type DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { type Item, marshalItem } from '../../shared/ledger/attribute-values.ts';
import { type ItemKey, MAC, OUTBOX, OUTBOX_MAC } from '../../shared/ledger/attributes.ts';
import { itemBytes, outboxBytes } from '../../shared/ledger/authentication/item-bytes.ts';
import { testState } from '../../simulation/models/state-key.ts';

/** A ledger's table as a newer release writes it, which has the same state key. */
export interface NewerItems {
  stored(key: ItemKey): Promise<Item>;
  /** Writes the item with what only the newer release knows. Returns it as it stands then. */
  grow(key: ItemKey, change?: (item: Item) => Item): Promise<Item>;
}

export const LATER = { later: 'SECRET-VALUE' };

export const withLater = (item: Item): Item => ({ ...item, ...marshalItem(LATER) });

export function newerItems(client: DynamoDBClient, tableName: string): NewerItems {
  const stored = async (key: ItemKey): Promise<Item> => {
    const get = new GetItemCommand({ TableName: tableName, Key: marshalItem(key), ConsistentRead: true });
    const { Item } = await client.send(get);
    if (Item === undefined) throw new Error(`Nothing stands at ${key.pk}`);
    return Item;
  };
  return {
    stored,
    grow: async (key, change = withLater) => {
      const item = change(await stored(key));
      const mac = await testState.mac(itemBytes(item));
      const outboxMac = OUTBOX in item ? { [OUTBOX_MAC]: await testState.mac(outboxBytes(item)) } : {};
      const grown = { ...item, ...marshalItem({ [MAC]: mac, ...outboxMac }) };
      await client.send(new PutItemCommand({ TableName: tableName, Item: grown }));
      return grown;
    },
  };
}
