import { EnvelopeError, type EnvelopeErrorCode } from '../errors/errors.ts';
import {
  ABSENT,
  clearKeys,
  intactKeys,
  type KeyBatch,
  sameKeys,
  unwrapKeys,
  wrapKeys,
} from './aes-key-wrap.ts';
import { findCiphertext, MALFORMED, versionAt, word32, writeVersion } from './format.ts';
import { KID_FROM_END, MAX_ENVELOPE_LENGTH, WRAPPED_DEK_FROM_END } from './layout.ts';
import { isTombstone } from './tombstone.ts';
import type { Kek, RewrapOutcome } from './types.ts';

/** Bytes of all envelopes of one batch: they are copied to one slab. */
export const MAX_BATCH_LENGTH = 1024 * 1024 * 1024;

const KEY_ID_LENGTH = 16;

// Shared, since a batch sets one for each record.
const CURRENT: RewrapOutcome = Object.freeze({ status: 'current' });
const ENVELOPE_MALFORMED = failure('ENVELOPE_MALFORMED');
const RECORD_TOMBSTONED = failure('RECORD_TOMBSTONED');
const KEY_MISMATCH = failure('KEY_MISMATCH');
const VERSION_UNKNOWN = failure('VERSION_UNKNOWN');
const VERSION_NEWER = failure('VERSION_NEWER');
const DECRYPTION_FAILED = failure('DECRYPTION_FAILED');
const REWRAP_UNVERIFIED = failure('REWRAP_UNVERIFIED');
export const ENVELOPE_ARGUMENT = failure('ENVELOPE_ARGUMENT');

/**
 * The envelopes of a batch, copied into one slab that the results are views of. Each ends on a word boundary, so
 * that its wrapped DEK, the last 40 bytes, is 10 aligned words. What is checked, rewrapped, verified and handed out
 * is this copy: nobody else can change it in between.
 */
export interface EnvelopeBatch {
  readonly to: Kek;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Int32Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly ciphertexts: Int32Array;
  /** One an envelope, in order. Each is a failure until proved otherwise. */
  readonly outcomes: RewrapOutcome[];
  /** The envelopes to rewrap, by the version that they are on. */
  readonly groups: readonly VersionGroup[];
}

export interface VersionGroup {
  readonly from: Kek;
  /** Indexes of envelopes, ascending. */
  readonly records: readonly number[];
}

/**
 * Copies, checks and sorts the envelopes of a batch.
 *
 * @throws EnvelopeError ENVELOPE_ARGUMENT when the keys do not belong together, or the batch is too large.
 */
export function stageBatch(
  envelopes: readonly Uint8Array[],
  from: readonly Kek[],
  to: Kek,
  omitted?: readonly number[],
): EnvelopeBatch {
  const groups = groupByVersion(from, to);
  const { starts, ends, slab } = copyToSlab(envelopes);
  const batch = {
    to,
    bytes: new Uint8Array(slab),
    words: new Int32Array(slab),
    starts,
    ends,
    ciphertexts: new Int32Array(envelopes.length),
    outcomes: new Array<RewrapOutcome>(envelopes.length).fill(ENVELOPE_MALFORMED),
  };
  for (let record = 0; record < envelopes.length; record++) {
    const envelope = envelopes[record];
    const start = starts[record] ?? 0;
    if (start === ABSENT || envelope === undefined) continue;
    batch.bytes.set(envelope, start);
    sortRecord(batch, groups, record, start, omitted === undefined ? 0 : (omitted[record] ?? 0));
  }
  return { ...batch, groups: [...groups.values()].filter(({ records }) => records.length > 0) };
}

/** Where the wrapped DEKs of a group lie in the batch's words. */
export function wrappedDekOffsets(batch: EnvelopeBatch, records: readonly number[]): Int32Array {
  const offsets = new Int32Array(records.length);
  for (let key = 0; key < records.length; key++) {
    offsets[key] = ((batch.ends[records[key] ?? 0] ?? 0) - WRAPPED_DEK_FROM_END) >>> 2;
  }
  return offsets;
}

/**
 * Wraps the DEKs of a group under the target, each into its envelope, and unwraps the bytes written there with the
 * target: only what gives the same DEK again is handed out (protocol.md, invariant 14). Absent ones are left out.
 */
export function wrapAndVerify(
  batch: EnvelopeBatch,
  records: readonly number[],
  deks: KeyBatch,
  offsets: Int32Array,
): void {
  const { bytes, starts, ends, outcomes } = batch;
  const slab = bytes.buffer; // Once: V8 calls a getter for it.
  const wrapped = { words: batch.words, offsets };
  wrapKeys(batch.to.key, deks, wrapped);
  const proof = unwrapKeys(batch.to.key, wrapped);
  const intact = intactKeys(proof);
  const same = sameKeys(proof, deks);
  clearKeys(proof);
  for (let key = 0; key < records.length; key++) {
    if (offsets[key] === ABSENT) continue;
    const record = records[key] ?? 0;
    if (intact[key] === 1 && same[key] === 1) {
      const start = starts[record] ?? 0;
      const end = ends[record] ?? 0;
      writeVersion(bytes, end, batch.to.version);
      outcomes[record] = { status: 'rewrapped', envelope: new Uint8Array(slab, start, end - start) };
    } else {
      outcomes[record] = REWRAP_UNVERIFIED;
    }
  }
}

type Groups = ReadonlyMap<number, { readonly from: Kek; readonly records: number[] }>;

function groupByVersion(from: readonly Kek[], to: Kek): Groups {
  const groups = new Map<number, { readonly from: Kek; readonly records: number[] }>();
  for (const kek of from) {
    if (kek.keyId !== to.keyId) {
      throw new EnvelopeError('ENVELOPE_ARGUMENT', 'from and to are not versions of one key');
    }
    if (groups.has(kek.version)) {
      throw new EnvelopeError('ENVELOPE_ARGUMENT', `from has version ${kek.version} twice`);
    }
    groups.set(kek.version, { from: kek, records: [] });
  }
  return groups;
}

/** Lays out a slab with each envelope ending on a word boundary. What cannot be an envelope gets no place in it. */
function copyToSlab(envelopes: readonly Uint8Array[]) {
  const starts = new Int32Array(envelopes.length).fill(ABSENT);
  const ends = new Int32Array(envelopes.length);
  let total = 0;
  for (let record = 0; record < envelopes.length; record++) {
    const envelope = envelopes[record];
    if (!(envelope instanceof Uint8Array) || envelope.length > MAX_ENVELOPE_LENGTH) continue;
    const end = (total + envelope.length + 3) & ~3;
    starts[record] = end - envelope.length;
    ends[record] = end;
    total = end;
    if (total > MAX_BATCH_LENGTH) {
      throw new EnvelopeError('ENVELOPE_ARGUMENT', 'the envelopes of the batch exceed 1 GiB together', {
        remedy: 'Use smaller batches.',
      });
    }
  }
  return { starts, ends, slab: new ArrayBuffer(total) };
}

/** Decides by the envelope's own bytes what is to be done with it. Nothing is decrypted to find out. */
function sortRecord(
  batch: Omit<EnvelopeBatch, 'groups'>,
  groups: Groups,
  record: number,
  start: number,
  omitted: number,
): void {
  const { bytes, to, outcomes } = batch;
  const end = batch.ends[record] ?? 0;
  const ciphertext = findCiphertext(bytes, start, end, omitted);
  if (ciphertext === MALFORMED) {
    if (omitted === 0 && isTombstone(bytes, start, end)) outcomes[record] = RECORD_TOMBSTONED;
    return;
  }
  batch.ciphertexts[record] = ciphertext;
  if (!namesKey(bytes, end - KID_FROM_END, to)) {
    outcomes[record] = KEY_MISMATCH;
    return;
  }
  const version = versionAt(bytes, end);
  if (version === to.version) {
    outcomes[record] = CURRENT;
    return;
  }
  const group = groups.get(version);
  if (group === undefined) {
    outcomes[record] = version > to.version ? VERSION_NEWER : VERSION_UNKNOWN;
    return;
  }
  outcomes[record] = DECRYPTION_FAILED;
  group.records.push(record);
}

function namesKey(bytes: Uint8Array, offset: number, { kid }: Kek): boolean {
  for (let at = 0; at < KEY_ID_LENGTH; at += 4) {
    if (word32(bytes, offset + at) !== word32(kid, at)) return false;
  }
  return true;
}

function failure(code: EnvelopeErrorCode): RewrapOutcome {
  return Object.freeze({ status: 'failed', code });
}
