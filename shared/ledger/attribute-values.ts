import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { LedgerError, UnreadableItemError } from '../errors/errors.ts';

/** DynamoDB's attribute values from and to plain JavaScript values; only the types that this table uses. */

export type Item = Record<string, AttributeValue>;

export function marshalItem(fields: object): Item {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, marshal(value, name)]));
}

/** A set is read as an array. */
export function unmarshalItem(item: Item): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, unmarshal(value, name)]));
}

function marshal(value: unknown, name: string): AttributeValue {
  if (value === null) return { NULL: true };
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'number' && Number.isSafeInteger(value)) return { N: String(value) };
  if (typeof value === 'boolean') return { BOOL: value };
  if (value instanceof Uint8Array) return { B: new Uint8Array(value) };
  if (Array.isArray(value)) return { L: value.map((element) => marshal(element, name)) };
  if (typeof value === 'object') return { M: marshalItem(value) };
  throw invalid(name);
}

function unmarshal(value: AttributeValue, name: string): unknown {
  if (value.NULL !== undefined) return null;
  if (value.S !== undefined) return value.S;
  if (value.N !== undefined) return readNumber(value.N, name);
  if (value.BOOL !== undefined) return value.BOOL;
  if (value.B !== undefined) return new Uint8Array(value.B);
  if (value.L !== undefined) return value.L.map((element) => unmarshal(element, name));
  if (value.M !== undefined) return unmarshalItem(value.M);
  if (value.NS !== undefined) return value.NS.map((element) => readNumber(element, name));
  if (value.SS !== undefined) return value.SS;
  throw unreadable(name);
}

function readNumber(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw unreadable(name);
  return value;
}

function invalid(name: string): LedgerError {
  return new LedgerError('LEDGER_ITEM_INVALID', notHeld(name));
}

function unreadable(name: string): UnreadableItemError {
  return new UnreadableItemError(notHeld(name), {
    remedy: 'A newer release of Keyturn wrote it, which is to be deployed, or it was changed by hand.',
  });
}

function notHeld(name: string): string {
  return `Attribute ${name} has a type that the ledger does not hold`;
}
