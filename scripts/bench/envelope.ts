import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from 'node:crypto';
import { clearKeys, copyKey, loadKeys, unwrapKeys, wrapKeys } from '../../shared/envelope/aes-key-wrap.ts';
import { createAadEncoder } from '../../shared/envelope/context.ts';
import {
  createKek,
  type EnvelopeContext,
  IV_OFFSET,
  type Kek,
  type RewrapOutcome,
  reencryptBatch,
  rewrapBatch,
  seal,
  TAIL_LENGTH,
  WRAPPED_DEK_FROM_END,
} from '../../shared/envelope/index.ts';
import type { BenchFigure } from './figure.ts';

const RECORDS = 500;
const PLAINTEXT_LENGTH = 200;
/** 216 bytes of ciphertext and tag: header prefix, IV and a two-byte length header are before it. */
const CIPHERTEXT_OFFSET = 24;
const CIPHERTEXT_LENGTH = PLAINTEXT_LENGTH + 16;
const KEY_ID = '01900000-0000-7000-8000-000000000001';
const A6 = Buffer.alloc(8, 0xa6);

interface Sample {
  readonly envelope: Uint8Array;
  readonly context: EnvelopeContext;
  /** The encoded context: the bound gets it ready-made. */
  readonly aad: Uint8Array;
}

/**
 * Targets 1 and 2: each operation against its bound, in alternating blocks of one run. A ratio is the median over
 * the blocks, so that neither a change of the machine's speed nor a burst of other work falls on one side only.
 */
export async function benchEnvelope({ short }: { short: boolean }): Promise<BenchFigure[]> {
  const from = createKek({ keyId: KEY_ID, version: 1, key: randomBytes(32) });
  const to = createKek({ keyId: KEY_ID, version: 2, key: randomBytes(32) });
  const samples = Array.from({ length: RECORDS }, (_, index) => sealSample(index, from));
  const envelopes = samples.map(({ envelope }) => envelope);

  const rewrap = () => expectAll(rewrapBatch(envelopes, [from], to));
  const rounds = short ? { warmUp: 1500, blocks: 25 } : { warmUp: 2500, blocks: 101 };
  const [ecb, rewrapped] = measure([ecbBound(from.key), rewrap], { ...rounds, calls: 10 });
  const [loop, again] = measure([() => keyObjectLoop(envelopes, from, to), rewrap], {
    ...rounds,
    warmUp: short ? 20 : 100,
    calls: short ? 1 : 3,
  });
  const [tuned, reencrypted] = measure(
    [() => tunedLoop(samples, from, to), () => expectAll(reencryptBatch(samples, [from], to))],
    { warmUp: short ? 60 : 100, blocks: short ? 15 : 61, calls: 2 },
  );
  return [
    figure(1, 'rewrapBatch of 500', rewrapped, ecb, { bound: 'the 48 bare ECB calls', atLeast: 0.35 }),
    figure(1, 'rewrapBatch of 500', again, loop, {
      bound: 'id-aes256-wrap per record, KeyObject',
      atLeast: 10,
    }),
    figure(2, 'reencryptBatch of 200 B', reencrypted, tuned, {
      bound: 'tuned node:crypto loop',
      atLeast: 0.9,
    }),
  ];
}

/** Target 1's bound: what batched AES-KW cannot do without. */
function ecbBound(key: KeyObject): () => void {
  const blocks = randomBytes(16 * RECORDS);
  const decipher = createDecipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  const cipher = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false);
  return () => {
    for (let step = 0; step < 24; step++) decipher.update(blocks);
    for (let step = 0; step < 24; step++) cipher.update(blocks);
  };
}

/** What one writes first, with the one trick that matters most: KeyObjects. It does not parse, check or verify. */
function keyObjectLoop(envelopes: readonly Uint8Array[], from: Kek, to: Kek): void {
  for (const envelope of envelopes) {
    const decipher = createDecipheriv('id-aes256-wrap', from.key, A6);
    const dek = decipher.update(envelope.subarray(-WRAPPED_DEK_FROM_END));
    decipher.final();
    const cipher = createCipheriv('id-aes256-wrap', to.key, A6);
    const wrapped = cipher.update(dek);
    cipher.final();
    const copy = Uint8Array.from(envelope);
    copy.set(wrapped, copy.length - WRAPPED_DEK_FROM_END);
  }
}

/** Target 2's bound: batched AES-KW, KeyObjects, random bytes in bulk, one output slab. No parsing, no checks. */
function tunedLoop(samples: readonly Sample[], from: Kek, to: Kek): void {
  const wrapped = new Int32Array(RECORDS * 10);
  const wrappedBytes = new Uint8Array(wrapped.buffer);
  samples.forEach(({ envelope }, record) => {
    wrappedBytes.set(envelope.subarray(-WRAPPED_DEK_FROM_END), record * 40);
  });
  const offsets = Int32Array.from(samples, (_, record) => record * 10);
  const oldDeks = unwrapKeys(from.key, { words: wrapped, offsets });
  const random = randomBytes(44 * RECORDS);
  const newDeks = loadKeys(new Int32Array(random.buffer, 0, 8 * RECORDS));
  const oldDek = new Uint8Array(32);
  const oldDekWords = new Int32Array(oldDek.buffer);
  const slab = Buffer.allocUnsafeSlow(RECORDS * CIPHERTEXT_LENGTH);
  samples.forEach((sample, record) => {
    copyKey(oldDeks, record, oldDekWords);
    const newDek = random.subarray(record * 32, record * 32 + 32);
    const iv = random.subarray(RECORDS * 32 + record * 12, RECORDS * 32 + record * 12 + 12);
    tunedGcm(sample, oldDek, newDek, iv, slab, record * CIPHERTEXT_LENGTH);
  });
  wrapKeys(to.key, newDeks, { words: wrapped, offsets });
  clearKeys(oldDeks);
  clearKeys(newDeks);
}

function tunedGcm(
  { envelope, aad }: Sample,
  oldDek: Uint8Array,
  newDek: Uint8Array,
  iv: Uint8Array,
  slab: Uint8Array,
  offset: number,
): void {
  const end = envelope.length - TAIL_LENGTH;
  const oldIv = envelope.subarray(IV_OFFSET, IV_OFFSET + 12);
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(oldDek), oldIv);
  decipher.setAAD(aad).setAuthTag(envelope.subarray(end - 16, end));
  const plaintext = decipher.update(envelope.subarray(CIPHERTEXT_OFFSET, end - 16));
  decipher.final();
  const cipher = createCipheriv('aes-256-gcm', createSecretKey(newDek), iv);
  cipher.setAAD(aad);
  slab.set(cipher.update(plaintext), offset);
  cipher.final();
  slab.set(cipher.getAuthTag(), offset + PLAINTEXT_LENGTH);
}

function sealSample(index: number, kek: Kek): Sample {
  const context = {
    tenant: 'acme',
    recordSet: 'customers',
    recordId: [`01900000-0000-7000-8000-${String(index).padStart(12, '0')}`],
    field: 'email',
  };
  const envelope = seal(randomBytes(PLAINTEXT_LENGTH), kek, context);
  return { envelope, context, aad: Uint8Array.from(createAadEncoder().encode(context)) };
}

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  return randomFillSync(new Uint8Array(length));
}

/** A benchmark of failures would be fast. */
function expectAll(outcomes: readonly RewrapOutcome[]): void {
  for (const { status } of outcomes) {
    if (status !== 'rewrapped') throw new Error(`a record of the benchmark is ${status}`);
  }
}

/** Milliseconds a call of each, one list entry a block; blocks alternate. */
function measure(
  [bound, subject]: readonly [() => void, () => void],
  { warmUp, blocks, calls }: { readonly warmUp: number; readonly blocks: number; readonly calls: number },
): readonly [number[], number[]] {
  timeCalls(bound, warmUp);
  timeCalls(subject, warmUp);
  const times: [number[], number[]] = [[], []];
  for (let block = 0; block < blocks; block++) {
    times[0].push(timeCalls(bound, calls));
    times[1].push(timeCalls(subject, calls));
  }
  return times;
}

function timeCalls(call: () => void, count: number): number {
  const begin = performance.now();
  for (let index = 0; index < count; index++) call();
  return (performance.now() - begin) / count;
}

function figure(
  target: 1 | 2,
  name: string,
  times: readonly number[],
  bounds: readonly number[],
  { bound, atLeast }: { readonly bound: string; readonly atLeast: number },
): BenchFigure {
  const ratio = median(times.map((time, block) => (bounds[block] ?? Number.NaN) / time));
  const value = Math.round((RECORDS * 1000) / median(times));
  return { target, name, value, unit: 'records/s', ratio, bound, atLeast, met: ratio >= atLeast };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >>> 1] ?? Number.NaN;
}

if (import.meta.main) {
  for (const { name, value, unit, ratio, bound, atLeast, met } of await benchEnvelope({
    short: process.argv.includes('--short'),
  })) {
    console.log(
      `${name}: ${value} ${unit}, ${ratio?.toFixed(2)} of ${bound} (target ${atLeast}: ${met ? 'met' : 'missed'})`,
    );
  }
}
