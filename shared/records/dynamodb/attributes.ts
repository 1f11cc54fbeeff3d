import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { fromText, toText } from '../../envelope/text.ts';
import { EnvelopeError, RecordStoreError } from '../../errors/errors.ts';
import type { FieldValue, RecordKey } from '../record-store.ts';

/** DynamoDB's attribute values from and to the text of keys and the bytes of fields. */

export type Item = Readonly<Record<string, AttributeValue>>;

export type KeyType = 'S' | 'N' | 'B';

export interface KeyAttribute {
  readonly name: string;
  readonly type: KeyType;
}

/** How an envelope is stored: as binary, or as its base64url text. */
export type Form = 'B' | 'S';

export function isKeyType(type: string | undefined): type is KeyType {
  return type === 'S' || type === 'N' || type === 'B';
}

/** As DynamoDB writes a number: without leading or trailing zeros. At most 38 digits are significant. */
const NUMBER = /^(0|-?(0\.\d*[1-9]|[1-9]\d*(\.\d*[1-9])?))$/;
/** More digits than any number has: 38, and as many zeros as its exponent of at most 130 asks for. */
const LONGEST_NUMBER = 180;

function isCanonical(type: KeyType, text: string): boolean {
  if (text === '') return false;
  if (type === 'S') return text.isWellFormed();
  if (type === 'N') return text.length <= LONGEST_NUMBER && NUMBER.test(text);
  return Buffer.from(text, 'base64url').toString('base64url') === text;
}

/** Throws RECORD_KEY_INVALID for what no item of the table can have. */
export function keyItem(key: RecordKey, attributes: readonly KeyAttribute[]): Record<string, AttributeValue> {
  if (key.length !== attributes.length) {
    throw new RecordStoreError(
      'RECORD_KEY_INVALID',
      `A record key has ${key.length} parts; the table's key has ${attributes.length}.`,
    );
  }
  return Object.fromEntries(
    attributes.map(({ name, type }, i) => {
      const text = key[i] ?? '';
      if (!isCanonical(type, text)) {
        throw new RecordStoreError(
          'RECORD_KEY_INVALID',
          `A record key does not fit key attribute "${name}" (${type}).`,
        );
      }
      return [name, typedValue(type, text)];
    }),
  );
}

function typedValue(type: KeyType, text: string): AttributeValue {
  if (type === 'S') return { S: text };
  if (type === 'N') return { N: text };
  return { B: new Uint8Array(Buffer.from(text, 'base64url')) };
}

export function keyOf(item: Item, attributes: readonly KeyAttribute[]): RecordKey {
  return attributes.map(({ name }) => {
    const value = item[name];
    if (value?.S !== undefined) return value.S;
    if (value?.N !== undefined) return value.N;
    if (value?.B !== undefined) return toText(value.B);
    throw new RecordStoreError('STORE_FAILED', `DynamoDB returned an item without its key "${name}".`);
  });
}

/** A key as text that no other key has. */
export function nameOfKey(key: RecordKey): string {
  return JSON.stringify(key);
}

/** The values that a tenant attribute may have for this tenant; none: no item is this tenant's. */
export function tenantValues(tenant: string, type?: KeyType): AttributeValue[] {
  const values: AttributeValue[] = [];
  for (const each of ['S', 'N'] as const) {
    if ((type ?? each) === each && isCanonical(each, tenant)) values.push(typedValue(each, tenant));
  }
  return values;
}

/** An item without a tenant is nobody's: no tenant's name is empty. */
export function tenantText(value: AttributeValue | undefined): string {
  return value?.S ?? value?.N ?? '';
}

/**
 * A field's bytes; null where the attribute is missing or NULL. What is neither binary nor base64url comes as bytes
 * that are no envelope, and will be refused as malformed.
 */
export function fieldValue(value: AttributeValue | undefined): FieldValue {
  if (value === undefined || value.NULL !== undefined) return null;
  if (value.B !== undefined) return value.B;
  if (value.S === undefined) return Buffer.from(`of type ${Object.keys(value).join()}`);
  try {
    return fromText(value.S);
  } catch (error) {
    if (error instanceof EnvelopeError) return Buffer.from(value.S, 'utf8');
    throw error;
  }
}

export function formOf(value: AttributeValue | undefined): Form | undefined {
  if (value?.B !== undefined) return 'B';
  return value?.S === undefined ? undefined : 'S';
}

export function storedValue(form: Form, bytes: Uint8Array): AttributeValue {
  return form === 'B' ? { B: bytes } : { S: toText(bytes) };
}
