import {
  HEADER_PREFIX,
  KID_FROM_END,
  KID_LENGTH,
  LENGTH_HEADER_OFFSET,
  LENGTH_HEADERS,
  MIN_ENVELOPE_LENGTH,
  TAIL_LENGTH,
  TAIL_PREFIX,
  WRAPPED_DEK_HEAD,
  WRAPPED_DEK_HEAD_FROM_END,
} from '../../../envelope/layout.ts';
import {
  TOMBSTONE_LENGTH,
  TOMBSTONE_PREFIX,
  TOMBSTONE_REQUEST_HEAD,
  TOMBSTONE_REQUEST_HEAD_OFFSET,
  TOMBSTONE_TIME_HEAD,
  TOMBSTONE_TIME_HEAD_OFFSET,
} from '../../../envelope/tombstone.ts';

/**
 * Envelopes read in SQL. `value` is a column; every expression is NULL or false for what is no envelope and never
 * raises, since one such row would otherwise fail the statement for all. Texts are compared by their bytes: PostgreSQL
 * has no regular expressions for nondeterministic collations.
 */

export type Form = 'bytea' | 'text';

/** The 20 bytes where the kid stands, or fewer, or NULL. */
export function kidAt(form: Form, value: string): string {
  if (form === 'bytea') return bytesFromEnd(value, KID_FROM_END, KID_LENGTH);
  const { suffix, offset } = textSuffix(value, KID_FROM_END);
  return `CASE WHEN octet_length(${value}) >= ${Math.ceil((MIN_ENVELOPE_LENGTH * 4) / 3)} AND ${suffix} COLLATE "C" ~ '${CANONICAL}'
    THEN substr(${decoded(suffix)}, ${offset} + 1, ${KID_LENGTH}) END`;
}

/** Whether the value is an envelope by everything of it that is fixed or given by its length. */
export function isEnvelope(form: Form, value: string): string {
  if (form === 'bytea') return isEnvelopeBytes(value);
  // Decoded once, by a subquery that cannot be pulled up.
  return `CASE WHEN ${value} COLLATE "C" ~ '${CANONICAL}'
    THEN (SELECT ${isEnvelopeBytes('d.b')} FROM (SELECT ${decoded(value)} AS b OFFSET 0) AS d) ELSE false END`;
}

/** Whether a tombstone stands there, by its length and everything of it that is fixed. NULL for NULL. */
export function isTombstone(form: Form, value: string): string {
  if (form === 'bytea') return isTombstoneBytes(value);
  // Without its length, the text of every long value would be looked through.
  return `CASE WHEN octet_length(${value}) = ${Math.ceil((TOMBSTONE_LENGTH * 4) / 3)} AND ${value} COLLATE "C" ~ '${CANONICAL}'
    THEN ${isTombstoneBytes(decoded(value))} ELSE false END`;
}

function isTombstoneBytes(v: string): string {
  const at = (offset: number, bytes: Uint8Array) =>
    `substr(${v}, ${offset + 1}, ${bytes.length}) = ${literal(bytes)}`;
  return `(octet_length(${v}) = ${TOMBSTONE_LENGTH}
    AND ${at(0, TOMBSTONE_PREFIX)}
    AND ${at(TOMBSTONE_TIME_HEAD_OFFSET, TOMBSTONE_TIME_HEAD)}
    AND ${at(TOMBSTONE_REQUEST_HEAD_OFFSET, TOMBSTONE_REQUEST_HEAD)})`;
}

/** Base64url without padding and with zero in the unused bits: the only text of its bytes. */
const CANONICAL = '^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$';

function isEnvelopeBytes(v: string): string {
  const lengthHead = LENGTH_HEADERS.map(({ firstByte, bytes, min, max }) => {
    const length = `octet_length(${v}) - ${LENGTH_HEADER_OFFSET + bytes + TAIL_LENGTH}`;
    // The form without length bytes has the length in its first byte.
    const head =
      bytes === 1
        ? `substr(int4send(${firstByte} + ${length}), 4)`
        : `'\\x${firstByte.toString(16)}'::bytea || substr(int4send(${length}), ${6 - bytes})`;
    return `WHEN ${length} BETWEEN ${min} AND ${max} THEN substr(${v}, ${LENGTH_HEADER_OFFSET + 1}, ${bytes}) = ${head}`;
  });
  return `(substr(${v}, 1, ${HEADER_PREFIX.length}) = ${literal(HEADER_PREFIX)}
    AND ${bytesFromEnd(v, TAIL_LENGTH, TAIL_PREFIX.length)} = ${literal(TAIL_PREFIX)}
    AND ${bytesFromEnd(v, WRAPPED_DEK_HEAD_FROM_END, WRAPPED_DEK_HEAD.length)} = ${literal(WRAPPED_DEK_HEAD)}
    AND ${bytesFromEnd(v, WRAPPED_DEK_HEAD_FROM_END + 4, 4)} <> '\\x00000000'::bytea
    AND CASE ${lengthHead.join(' ')} ELSE false END)`;
}

function bytesFromEnd(v: string, fromEnd: number, length: number): string {
  return `substr(${v}, octet_length(${v}) - ${fromEnd - 1}, ${length})`;
}

/**
 * The end of a text, from the four-character group in which the byte `fromEnd` before the end of the decoded
 * value lies; `offset` is that byte's place in the decoded suffix.
 */
function textSuffix(value: string, fromEnd: number): { suffix: string; offset: string } {
  const characters = `octet_length(${value})`;
  const start = `(${characters} / 4 * 3 + ${characters} % 4 * 3 / 4 - ${fromEnd})`;
  return { suffix: `right(${value}, ${characters} - ${start} / 3 * 4)`, offset: `${start} % 3` };
}

function decoded(text: string): string {
  return `decode(translate(${text}, '-_', '+/') || repeat('=', (4 - octet_length(${text}) % 4) % 4), 'base64')`;
}

function literal(bytes: Uint8Array): string {
  return `'\\x${Buffer.from(bytes).toString('hex')}'::bytea`;
}
