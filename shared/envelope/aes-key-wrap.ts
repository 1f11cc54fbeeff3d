import {
  type Cipheriv,
  createCipheriv,
  createDecipheriv,
  type Decipheriv,
  type KeyObject,
} from 'node:crypto';

/*
 * AES Key Wrap (RFC 3394; NIST SP 800-38F's KW) of many 32-byte keys under one KEK at once.
 *
 * RFC 3394 §2.2 chains 6 * n = 24 AES calls a key (n = 4 blocks of 64 bits), each on A | R[i]. The calls of one
 * key depend on each other, those of different keys do not: step t runs over all keys in ONE call to the cipher.
 *
 * Register i of a batch is the array of the keys' 16-byte blocks A | R[i]. A step hands register i to the cipher,
 * takes what comes back as the new register i, and passes its A halves, with t xored in, on to the register of
 * the next step. R halves never move. The words have 32 bits: V8 runs those unboxed from the first call on, where
 * BigUint64Array makes a BigInt of each until its last compiler tier. Only the first registers of a wrap and the
 * last of an unwrap hold keys: the ones in between need no clearing.
 */

const STEPS = 24;
const REGISTERS = 4;
/** Words of one block: two of A, two of R[i]. */
const BLOCK_WORDS = 4;
const KEY_WORDS = 8;
const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;

/** Half of the initial value (RFC 3394 §2.2.3.1). All bytes are alike, so the byte order of the machine does not matter. */
const INITIAL_WORD = 0xa6a6a6a6 | 0;

/** t, the low half of a big-endian 64-bit integer, in this machine's byte order. */
const COUNTERS = new Int32Array(
  Uint8Array.from({ length: WORD_BYTES * (STEPS + 1) }, (_, index) =>
    index % WORD_BYTES === WORD_BYTES - 1 ? Math.floor(index / WORD_BYTES) : 0,
  ).buffer,
);

/** An offset that stands for "no key here". */
export const ABSENT = -1;

/** Where the wrapped keys lie in a slab of words: 10 words from each offset, or ABSENT. */
export interface WrappedKeys {
  readonly words: Int32Array;
  readonly offsets: Int32Array;
}

type Words = Int32Array<ArrayBuffer>;
type Registers = [Words, Words, Words, Words];

/** Unwrapped keys, 8 words each, spread over the R halves of four registers. Clear it after use. */
export interface KeyBatch {
  readonly count: number;
  readonly registers: Readonly<Registers>;
}

/** RFC 3394 §2.2.2, index form, for all keys of a batch. A key means nothing unless `intactKeys` has it. */
export function unwrapKeys(kek: KeyObject, wrapped: WrappedKeys): KeyBatch {
  const registers = newRegisters(wrapped.offsets.length);
  loadWrapped(registers, wrapped);
  const { decipher } = ecbOf(kek);
  for (let step = STEPS; step > 0; step--) {
    const index = (step - 1) % REGISTERS;
    const input = registerAt(registers, index);
    const output = wordsOf(decipher.update(input));
    registers[index] = output;
    release(input);
    if (step > 1) passOn(output, registerAt(registers, (step - 2) % REGISTERS), counterAt(step - 1));
  }
  return { count: wrapped.offsets.length, registers };
}

/**
 * RFC 3394 §2.2.1, index form: writes the wrapping of each key to its offset. The keys stay in `keys`, their
 * integrity check values do not: ask `intactKeys` before.
 */
export function wrapKeys(kek: KeyObject, keys: KeyBatch, wrapped: WrappedKeys): void {
  const registers: Registers = [...keys.registers];
  setInitialValue(registers[0]);
  const { cipher } = ecbOf(kek);
  for (let step = 1; step <= STEPS; step++) {
    const index = (step - 1) % REGISTERS;
    const input = registerAt(registers, index);
    const output = wordsOf(cipher.update(input));
    registers[index] = output;
    if (step > REGISTERS) release(input); // The first four are the keys themselves, which the caller keeps.
    if (step < STEPS) passOn(output, registerAt(registers, step % REGISTERS), counterAt(step));
  }
  storeWrapped(registers, wrapped);
  for (const register of registers) release(register);
}

/**
 * 1 for each key whose integrity check value is RFC 3394's (§2.2.3.1), else 0. All steps have run by then, and no
 * branch depends on a key.
 */
export function intactKeys({ count, registers: [first] }: KeyBatch): Uint8Array {
  const intact = new Uint8Array(count);
  for (let key = 0; key < count; key++) {
    const at = key * BLOCK_WORDS;
    const difference = ((first[at] ?? 0) ^ INITIAL_WORD) | ((first[at + 1] ?? 0) ^ INITIAL_WORD);
    intact[key] = difference === 0 ? 1 : 0;
  }
  return intact;
}

/** 1 for each key that is the same in both batches, else 0. No branch depends on a part of a key. */
export function sameKeys(a: KeyBatch, b: KeyBatch): Uint8Array {
  const differences = new Int32Array(a.count);
  for (let index = 0; index < REGISTERS; index++) {
    addDifferences(registerAt(a.registers, index), registerAt(b.registers, index), differences);
  }
  const same = new Uint8Array(a.count);
  for (let key = 0; key < a.count; key++) same[key] = differences[key] === 0 ? 1 : 0;
  return same;
}

/** A batch of the keys that lie one after the other in `words`, 8 words each. */
export function loadKeys(words: Int32Array): KeyBatch {
  const count = words.length / KEY_WORDS;
  const registers = newRegisters(count);
  for (let key = 0; key < count; key++) {
    for (let index = 0; index < REGISTERS; index++) {
      const register = registerAt(registers, index);
      register[key * BLOCK_WORDS + 2] = words[key * KEY_WORDS + 2 * index] ?? 0;
      register[key * BLOCK_WORDS + 3] = words[key * KEY_WORDS + 2 * index + 1] ?? 0;
    }
  }
  return { count, registers };
}

/** Writes one key's 8 words to the beginning of `target`. */
export function copyKey({ registers }: KeyBatch, key: number, target: Int32Array): void {
  for (let index = 0; index < REGISTERS; index++) {
    const register = registerAt(registers, index);
    target[2 * index] = register[key * BLOCK_WORDS + 2] ?? 0;
    target[2 * index + 1] = register[key * BLOCK_WORDS + 3] ?? 0;
  }
}

/** Zeroes the keys and frees their memory: `keys` is empty afterwards. */
export function clearKeys({ registers }: KeyBatch): void {
  for (const register of registers) {
    register.fill(0);
    release(register);
  }
}

interface Ecb {
  readonly cipher: Cipheriv;
  readonly decipher: Decipheriv;
}

/**
 * ECB ciphers without padding keep nothing between whole blocks, so those of a KEK serve all its batches: making
 * them anew takes as long as several steps. They hold the expanded key no longer than the KeyObject holds the key.
 */
const ecbCiphers = new WeakMap<KeyObject, Ecb>();

function ecbOf(kek: KeyObject): Ecb {
  const known = ecbCiphers.get(kek);
  if (known !== undefined) return known;
  const ecb = {
    cipher: createCipheriv('aes-256-ecb', kek, null).setAutoPadding(false),
    decipher: createDecipheriv('aes-256-ecb', kek, null).setAutoPadding(false),
  };
  ecbCiphers.set(kek, ecb);
  return ecb;
}

function newRegisters(count: number): Registers {
  const register = () => new Int32Array(count * BLOCK_WORDS);
  return [register(), register(), register(), register()];
}

function registerAt(registers: readonly Words[], index: number): Words {
  const register = registers[index];
  if (register === undefined) throw new RangeError(`no register ${index}`);
  return register;
}

/**
 * Frees the memory now, by moving it out of reach. The next output then gets the same memory, still in the
 * processor's cache: a quarter faster than outputs that wait for the garbage collector, and no garbage.
 */
function release(register: Words): void {
  register.buffer.transfer(0);
}

function counterAt(step: number): number {
  return COUNTERS[step] ?? 0;
}

/** The cipher's output as words. Node gives each output memory of its own, so it is aligned; if not, this throws. */
function wordsOf(output: Buffer<ArrayBuffer>): Words {
  return new Int32Array(output.buffer, output.byteOffset, output.length / WORD_BYTES);
}

/** The A half of each block, with the step's counter xored in, becomes that of the next step's register. */
function passOn(output: Words, next: Words, counter: number): void {
  const end = output.length; // Once: the loop would look each time whether the memory was released.
  for (let at = 0; at < end; at += BLOCK_WORDS) {
    next[at] = output[at] ?? 0;
    next[at + 1] = (output[at + 1] ?? 0) ^ counter;
  }
}

function setInitialValue(register: Words): void {
  for (let at = 0; at < register.length; at += BLOCK_WORDS) {
    register[at] = INITIAL_WORD;
    register[at + 1] = INITIAL_WORD;
  }
}

/** Adds to each key's difference that of its R halves here. */
function addDifferences(a: Words, b: Words, differences: Int32Array): void {
  for (let key = 0; key < differences.length; key++) {
    const at = key * BLOCK_WORDS + 2;
    const difference = ((a[at] ?? 0) ^ (b[at] ?? 0)) | ((a[at + 1] ?? 0) ^ (b[at + 1] ?? 0));
    differences[key] = (differences[key] ?? 0) | difference;
  }
}

/** C[0] to A of the last register, which unwrapping begins with; C[1] to C[4] to R[1] to R[4]. */
function loadWrapped([r1, r2, r3, r4]: Registers, { words, offsets }: WrappedKeys): void {
  const counter = counterAt(STEPS);
  for (let key = 0; key < offsets.length; key++) {
    const from = offsets[key] ?? ABSENT;
    if (from === ABSENT) continue;
    const at = key * BLOCK_WORDS;
    r4[at] = words[from] ?? 0;
    r4[at + 1] = (words[from + 1] ?? 0) ^ counter;
    r1[at + 2] = words[from + 2] ?? 0;
    r1[at + 3] = words[from + 3] ?? 0;
    r2[at + 2] = words[from + 4] ?? 0;
    r2[at + 3] = words[from + 5] ?? 0;
    r3[at + 2] = words[from + 6] ?? 0;
    r3[at + 3] = words[from + 7] ?? 0;
    r4[at + 2] = words[from + 8] ?? 0;
    r4[at + 3] = words[from + 9] ?? 0;
  }
}

/** The reverse of `loadWrapped`: wrapping ends with A in the last register. */
function storeWrapped([r1, r2, r3, r4]: Registers, { words, offsets }: WrappedKeys): void {
  const counter = counterAt(STEPS);
  for (let key = 0; key < offsets.length; key++) {
    const to = offsets[key] ?? ABSENT;
    if (to === ABSENT) continue;
    const at = key * BLOCK_WORDS;
    words[to] = r4[at] ?? 0;
    words[to + 1] = (r4[at + 1] ?? 0) ^ counter;
    words[to + 2] = r1[at + 2] ?? 0;
    words[to + 3] = r1[at + 3] ?? 0;
    words[to + 4] = r2[at + 2] ?? 0;
    words[to + 5] = r2[at + 3] ?? 0;
    words[to + 6] = r3[at + 2] ?? 0;
    words[to + 7] = r3[at + 3] ?? 0;
    words[to + 8] = r4[at + 2] ?? 0;
    words[to + 9] = r4[at + 3] ?? 0;
  }
}
