import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { canonicalBytes } from '../../signing/canonical-json.ts';
import type { Item } from '../attribute-values.ts';
import { OUTBOX, PARTITION_KEY, SORT_KEY, WRITTEN_APART } from '../attributes.ts';

/**
 * What the MAC of an item covers: every attribute with its type, its own primary key among them (so that an item in
 * another's place is no longer genuine), but those that others write apart from it. Canonical JSON of DynamoDB's own
 * notation, with bytes as base64url.
 */
export function itemBytes(item: Item): Uint8Array {
  const covered = Object.entries(item).filter(([name]) => !WRITTEN_APART.has(name));
  return canonicalBytes({ item: Object.fromEntries(covered.map(([name, value]) => [name, plain(value)])) });
}

/** What the item tells the audit still, and whose item it is. */
export function outboxBytes(item: Item): Uint8Array {
  const { [OUTBOX]: outbox, [PARTITION_KEY]: pk, [SORT_KEY]: sk } = item;
  return canonicalBytes({ outbox: outbox === undefined ? null : plain(outbox), pk, sk });
}

/** Whether its event was not seen in the chain yet. See shared/audit/outbox.ts. */
export function isFull(item: Item): boolean {
  return item[OUTBOX]?.M?.['afterSequence'] !== undefined;
}

function plain(value: AttributeValue): unknown {
  if (value.B !== undefined) return { B: Buffer.from(value.B).toString('base64url') };
  if (value.L !== undefined) return { L: value.L.map(plain) };
  if (value.M !== undefined) {
    return { M: Object.fromEntries(Object.entries(value.M).map(([name, member]) => [name, plain(member)])) };
  }
  // Sets have no order.
  if (value.SS !== undefined) return { SS: value.SS.toSorted() };
  if (value.NS !== undefined) return { NS: value.NS.toSorted() };
  if (value.BS !== undefined) {
    return { BS: value.BS.map((bytes) => Buffer.from(bytes).toString('base64url')).toSorted() };
  }
  return value;
}
