import { RecordStoreError } from '../../errors/errors.ts';

/** Types that a key or tenant column may have, with their OIDs (fixed in PostgreSQL's pg_type.dat). */
export const IDENTIFIER_TYPES = {
  int2: { oid: 21, bytes: 2 },
  int4: { oid: 23, bytes: 4 },
  int8: { oid: 20, bytes: 8 },
  uuid: { oid: 2950 },
  text: { oid: 25 },
  varchar: { oid: 1043 },
  bpchar: { oid: 1042 },
} as const;

export type IdentifierType = keyof typeof IDENTIFIER_TYPES;

export function isIdentifierType(name: string): name is IdentifierType {
  return Object.hasOwn(IDENTIFIER_TYPES, name);
}

const INTEGER = /^(0|-?[1-9]\d{0,18})$/;
/** So many characters are a number that no double rounds, and that every int8 holds. */
const EXACT_LENGTH = 15;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether `text` is exactly what PostgreSQL writes for some value of the type, so that equal texts are equal values. */
export function isCanonical(type: IdentifierType, text: string): boolean {
  switch (type) {
    case 'int2':
    case 'int4':
    case 'int8': {
      if (!INTEGER.test(text)) return false;
      if (text.length <= EXACT_LENGTH && type === 'int8') return true;
      const limit = 1n << BigInt(IDENTIFIER_TYPES[type].bytes * 8 - 1);
      const value = BigInt(text);
      return value >= -limit && value < limit;
    }
    case 'uuid':
      return UUID.test(text);
    case 'bpchar':
      // char(n) compares without trailing blanks, and its text form has none.
      return isText(text) && !text.endsWith(' ');
    case 'text':
    case 'varchar':
      return isText(text);
  }
}

function isText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

export function assertCanonical(type: IdentifierType, text: string, column: string): void {
  if (!isCanonical(type, text)) {
    throw new RecordStoreError(
      'RECORD_KEY_INVALID',
      `A record key does not fit column "${column}" (${type}).`,
    );
  }
}

const OID = { bytea: 17, int4: 23, text: 25 } as const;

/** A binary array of identifiers that were found canonical. */
export function identifierArray(type: IdentifierType, texts: readonly string[]): Buffer {
  switch (type) {
    case 'int2':
    case 'int4':
    case 'int8':
      return integerArray(type, texts);
    case 'uuid':
      return uuidArray(texts);
    default:
      return binaryArray(
        IDENTIFIER_TYPES[type].oid,
        texts.map((text) => Buffer.from(text, 'utf8')),
      );
  }
}

function integerArray(type: 'int2' | 'int4' | 'int8', texts: readonly string[]): Buffer {
  const { oid, bytes } = IDENTIFIER_TYPES[type];
  const out = Buffer.allocUnsafe(HEAD_BYTES + texts.length * (4 + bytes));
  writeHead(out, oid, texts.length, false);
  let at = HEAD_BYTES;
  for (const text of texts) {
    at = out.writeInt32BE(bytes, at);
    if (bytes < 8) {
      at = out.writeIntBE(Number(text), at, bytes);
    } else if (text.length <= EXACT_LENGTH) {
      // Two halves: a BigInt would be an object for each key.
      const value = Number(text);
      at = out.writeInt32BE(Math.floor(value / 2 ** 32), at);
      at = out.writeUInt32BE(value >>> 0, at);
    } else {
      at = out.writeBigInt64BE(BigInt(text), at);
    }
  }
  return out;
}

const UUID_BYTES = 16;

function uuidArray(texts: readonly string[]): Buffer {
  const bytes = Buffer.from(texts.join('').replaceAll('-', ''), 'hex');
  const out = Buffer.allocUnsafe(HEAD_BYTES + texts.length * (4 + UUID_BYTES));
  writeHead(out, IDENTIFIER_TYPES.uuid.oid, texts.length, false);
  let at = HEAD_BYTES;
  for (let from = 0; from < bytes.length; from += UUID_BYTES) {
    at = out.writeInt32BE(UUID_BYTES, at);
    at += bytes.copy(out, at, from, from + UUID_BYTES);
  }
  return out;
}

export function textArray(values: readonly (Uint8Array | null)[]): Buffer {
  return binaryArray(OID.text, values);
}

export function byteaArray(values: readonly (Uint8Array | null)[]): Buffer {
  return binaryArray(OID.bytea, values);
}

/** The last `length` bytes of each. */
export function byteaEndArray(values: readonly (Uint8Array | null)[], length: number): Buffer {
  const nulls = values.reduce((count, value) => count + (value === null ? 1 : 0), 0);
  const out = Buffer.allocUnsafe(HEAD_BYTES + values.length * 4 + (values.length - nulls) * length);
  writeHead(out, OID.bytea, values.length, nulls > 0);
  let at = HEAD_BYTES;
  for (const value of values) {
    at = out.writeInt32BE(value === null ? -1 : length, at);
    if (value === null) continue;
    // For some ten bytes, views of both and a copy take longer than a loop.
    for (let from = value.length - length; from < value.length; from++) out[at++] = value[from] ?? 0;
  }
  return out;
}

export function int4Array(values: readonly number[]): Buffer {
  const out = Buffer.allocUnsafe(HEAD_BYTES + values.length * 8);
  writeHead(out, OID.int4, values.length, false);
  let at = HEAD_BYTES;
  for (const value of values) {
    at = out.writeInt32BE(4, at);
    at = out.writeInt32BE(value, at);
  }
  return out;
}

/**
 * A one-dimensional array in PostgreSQL's binary form (array_send). `pg` writes arrays as text with bytea in hex,
 * at a third of the speed; a Buffer it sends as it is.
 */
function binaryArray(oid: number, values: readonly (Uint8Array | null)[]): Buffer {
  let size = HEAD_BYTES;
  let hasNull = false;
  for (const value of values) {
    size += 4;
    if (value === null) hasNull = true;
    else size += value.length;
  }
  const out = Buffer.allocUnsafe(size);
  writeHead(out, oid, values.length, hasNull);
  let at = HEAD_BYTES;
  for (const value of values) {
    if (value === null) {
      at = out.writeInt32BE(-1, at);
    } else {
      at = out.writeInt32BE(value.length, at);
      out.set(value, at);
      at += value.length;
    }
  }
  return out;
}

const HEAD_BYTES = 20;

function writeHead(out: Buffer, oid: number, length: number, hasNull: boolean): void {
  out.writeInt32BE(1, 0); // dimensions
  out.writeInt32BE(hasNull ? 1 : 0, 4);
  out.writeInt32BE(oid, 8);
  out.writeInt32BE(length, 12);
  out.writeInt32BE(1, 16); // lower bound
}
