import { EnvelopeError } from '../errors/errors.ts';
import { ARRAY, BYTE_STRING, headLength, TEXT_STRING, writeHead } from './cbor.ts';
import type { EnvelopeContext } from './types.ts';

/** A record's key has 1 to this many parts. */
export const MAX_RECORD_ID_PARTS = 8;
/** UTF-16 code units of all the context's texts together: it names a record, it does not carry one. */
export const MAX_CONTEXT_UNITS = 64 * 1024;

/** What Enc_structure begins with (RFC 9052 §5.3): array(3), "Encrypt", and the protected header h'a10103'. */
const ENC_STRUCTURE_PREFIX = Buffer.concat([
  Buffer.from('\x83\x67Encrypt', 'latin1'),
  Buffer.from('43a10103', 'hex'),
]);

/** Room before external_aad for the prefix and the longest head, so that both are written once its length is known. */
const EXTERNAL_AAD_OFFSET = ENC_STRUCTURE_PREFIX.length + 5;

/** Writes one context after the other into the same memory: a batch would otherwise allocate for each record. */
export interface AadEncoder {
  /**
   * The additional authenticated data of an envelope with this context: the encoded Enc_structure, whose
   * external_aad is the deterministic CBOR array [tenant, recordSet, [recordId...], field]. A view that the
   * next call overwrites.
   *
   * @throws EnvelopeError ENVELOPE_ARGUMENT when the context is not valid; the message names the part.
   */
  encode(context: EnvelopeContext): Uint8Array;
}

export function createAadEncoder(): AadEncoder {
  let scratch = Buffer.alloc(512);
  return {
    encode(context) {
      const needed = EXTERNAL_AAD_OFFSET + encodedBound(context);
      if (needed > scratch.length) scratch = Buffer.alloc(needed * 2);
      const end = writeContext(scratch, context);
      const length = end - EXTERNAL_AAD_OFFSET;
      const head = EXTERNAL_AAD_OFFSET - headLength(length);
      const start = head - ENC_STRUCTURE_PREFIX.length;
      scratch.set(ENC_STRUCTURE_PREFIX, start);
      writeHead(scratch, head, BYTE_STRING, length);
      return scratch.subarray(start, end);
    },
  };
}

/** Checks the context, and returns how many bytes it encodes to at most: 3 a UTF-16 unit, 5 a head. */
function encodedBound(context: EnvelopeContext): number {
  if (typeof context !== 'object' || context === null) throw invalid('context is not an object');
  const { tenant, recordSet, recordId, field } = context;
  const named =
    textLength(tenant, 'tenant') + textLength(recordSet, 'recordSet') + textLength(field, 'field');
  if (tenant === '' || recordSet === '' || field === '') {
    throw invalid('context.tenant, context.recordSet and context.field are not empty');
  }
  if (!Array.isArray(recordId) || recordId.length < 1 || recordId.length > MAX_RECORD_ID_PARTS) {
    throw invalid(`context.recordId is not an array of 1 to ${MAX_RECORD_ID_PARTS} texts`);
  }
  let units = named;
  for (const part of recordId) units += textLength(part, 'recordId');
  if (units > MAX_CONTEXT_UNITS) throw invalid(`context has more than ${MAX_CONTEXT_UNITS} UTF-16 units`);
  return units * 3 + (5 + MAX_RECORD_ID_PARTS) * 5;
}

/** A lone surrogate has no UTF-8 form, and would be replaced: two contexts would encode alike. */
function textLength(text: string, part: string): number {
  if (typeof text !== 'string') throw invalid(`context.${part} is not a string`);
  if (!text.isWellFormed())
    throw invalid(`context.${part} is not well-formed UTF-16 (it has a lone surrogate)`);
  return text.length;
}

function writeContext(target: Buffer, context: EnvelopeContext): number {
  let at = writeHead(target, EXTERNAL_AAD_OFFSET, ARRAY, 4);
  at = writeText(target, at, context.tenant);
  at = writeText(target, at, context.recordSet);
  at = writeHead(target, at, ARRAY, context.recordId.length);
  for (const part of context.recordId) at = writeText(target, at, part);
  return writeText(target, at, context.field);
}

/** Most texts are short ASCII, for which a loop here is faster than two calls into the runtime. */
function writeText(target: Buffer, offset: number, text: string): number {
  const start = writeHead(target, offset, TEXT_STRING, text.length);
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit >= 0x80) return writeLongText(target, offset, text);
    target[start + index] = unit;
  }
  return start + text.length;
}

function writeLongText(target: Buffer, offset: number, text: string): number {
  const start = writeHead(target, offset, TEXT_STRING, Buffer.byteLength(text));
  return start + target.write(text, start, 'utf8');
}

function invalid(message: string): EnvelopeError {
  return new EnvelopeError('ENVELOPE_ARGUMENT', message);
}
