import { isDeepStrictEqual } from 'node:util';
import type { CanaryUse, TenantKey } from '../keyring/key.ts';
import { type Item, marshalItem, unmarshalItem } from './attribute-values.ts';
import { CANARY, CLEAR_USED, CONDITIONS, itemKeys, LISTS, MARK_USED, STORED_WITH } from './attributes.ts';
import type { AuthenticatedTable } from './authentication/authenticated-table.ts';
import { canaryText, markText, readCanary, withReadableCanary } from './canary-text.ts';
import { tenantKeySchema } from './items.ts';
import type { Ledger } from './ledger.ts';
import { scanKeys } from './restore-ledger.ts';
import { conflict, createOne, isSame, type Kind, listAll, readOne, storedFields } from './stored-items.ts';
import type { Condition } from './table-client.ts';

/** Keys. What an application says that it used is an attribute of the key's item that anybody may write: its canary. */

type KeyLedger = Pick<
  Ledger,
  'createKey' | 'getKey' | 'replaceKey' | 'listKeys' | 'scanKeys' | 'markUsed' | 'clearUsed'
>;

const KEY: Kind<TenantKey> = {
  name: 'key',
  schema: tenantKeySchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ tenant, purpose }) => itemKeys.key(tenant, purpose),
  fieldsOf: (key) => ({ ...key, [CANARY]: canaryText(key.canary) }),
  notThere: CONDITIONS.noKeyThere,
  listed: ({ createdAt, keyId }) => ({ list: LISTS.keys, order: `${createdAt}#${keyId}` }),
};

/** As it is put, but for its MAC and what it tells the audit. */
export function keyItem(key: TenantKey): Item {
  return marshalItem({ ...storedFields(KEY, key), ...KEY.keyOf(key) });
}

const NOTHING_MARKED = marshalItem({ ':nothing': null });

export function createKeyLedger(table: AuthenticatedTable): KeyLedger {
  return {
    createKey: (key) => createOne(table, KEY, key),
    getKey: async (tenant, purpose) => readOne(table, KEY, itemKeys.key(tenant, purpose)),
    replaceKey: (key) => replaceKey(table, key),
    listKeys: async (onSkipped) =>
      (await listAll(table, KEY, LISTS.keys, onSkipped)).toSorted(byTenantAndPurpose),
    scanKeys: async () => (await scanKeys(table, KEY)).toSorted(byTenantAndPurpose),
    markUsed: async (tenant, purpose, use) => {
      const condition = { expression: CONDITIONS.there, values: marshalItem({ ':canary': markText(use) }) };
      return (await table.annotate(itemKeys.key(tenant, purpose), MARK_USED, condition)) === 'written';
    },
    clearUsed: async (tenant, purpose, use) => {
      const key = itemKeys.key(tenant, purpose);
      const stored = await table.get(key);
      if (stored === null || !hasCanary(stored, use)) return false;
      const { expression, values } = canaryAsIn(stored);
      const condition = { expression, values: { ...values, ...NOTHING_MARKED } };
      return (await table.annotate(key, CLEAR_USED, condition)) === 'written';
    },
  };
}

/** As replaceOne, and on condition that the canary is as it was read: a use that was marked since is never overwritten. */
async function replaceKey(table: AuthenticatedTable, key: TenantKey): Promise<void> {
  const id = KEY.keyOf(key);
  const put = (condition: Condition) => table.put(id, storedFields(KEY, key), condition);
  const previous = marshalItem({ ':previous': key.revision - 1 });
  const canary = marshalItem({ [CANARY]: canaryText(key.canary) });
  const asRevisionAnd = ({ expression, values }: Condition) => ({
    expression: `${CONDITIONS.revisionIs} AND ${expression}`,
    values: { ...previous, ...values },
  });
  if ((await put(asRevisionAnd(canaryAsIn(canary)))) === 'written') return;
  const stored = await table.get(id);
  // A repeat of what was committed; a use may have been marked since.
  if (stored !== null && isSame(KEY, { ...stored, ...canary }, key)) return;
  // Whoever marked it may have written the same use in other words, or taken the attribute away.
  if (stored === null || !hasCanary(stored, key.canary)) throw conflict(KEY.name);
  if ((await put(asRevisionAnd(canaryAsIn(stored)))) !== 'written') throw conflict(KEY.name);
}

function hasCanary(stored: Item, use: CanaryUse | null): boolean {
  const canary = withReadableCanary({ [CANARY]: stored[CANARY] ?? { NULL: true } });
  return isDeepStrictEqual(readCanary(unmarshalItem(canary)[CANARY]), use);
}

/** Whatever somebody wrote there. */
function canaryAsIn({ [CANARY]: canary }: Item): Condition {
  if (canary === undefined) return { expression: CONDITIONS.noCanary };
  if (canary.S !== undefined || canary.NULL !== undefined) {
    return { expression: CONDITIONS.canaryIs, values: { ':canary': canary } };
  }
  return { expression: CONDITIONS.canaryIsNoText, values: marshalItem({ ':text': 'S', ':null': 'NULL' }) };
}

/** By code units: the same order on every machine, whatever its locale. */
function byTenantAndPurpose(a: TenantKey, b: TenantKey): number {
  return compare(a.tenant, b.tenant) || compare(a.purpose, b.purpose);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
