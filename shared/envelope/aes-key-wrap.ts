import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

/*
 * AES Key Wrap (RFC 3394; NIST SP 800-38F's KW) of many 32-byte keys under one KEK at once.
 *
 * RFC 3394 §2.2 chains 6 * n = 24 AES calls a key (n = 4 blocks of 8 bytes), each on A | R[i]. The calls of one
 * key depend on each other, those of different keys do not: step t runs over all keys in ONE call to the cipher.
 *
 * Register i of a batch is the array of the keys' 16-byte blocks A | R[i]. A step hands register i to the cipher,
 * takes what comes back as the new register i, and passes its A halves, with t xored in, on to the register of
 * the next step. R halves never move. 32-bit integer words, since V8 keeps those unboxed in every tier.
 */

const STEPS = 24;
const REGISTERS = 4;
/** 32-bit words of one block: two of A, two of R[i]. */
const BLOCK_WORDS = 4;

/** A6A6A6A6A6A6A6A6, the initial value (RFC 3394 §2.2.3.1), as a word: all four bytes are alike. */
const INTEGRITY_WORD = 0xa6a6a6a6 | 0;

/** t as the low word of a big-endian 64-bit integer, in this machine's byte order. */
const COUNTERS = new Int32Array(
  Uint8Array.from({ length: 4 * (STEPS + 1) }, (_, index) => (index % 4 === 3 ? index >>> 2 : 0)).buffer,
);

/** An offset that stands for "no key here". */
export const ABSENT = -1;

/** Where the wrapped keys lie in a slab of words: 10 words from each offset, or ABSENT. */
export interface WrappedKeys {
  readonly words: Int32Array;
  readonly offsets: Int32Array;
}

type Registers = [Int32Array, Int32Array, Int32Array, Int32Array];

/** Unwrapped keys, 8 words each, spread over the R halves of four registers. */
export interface KeyBatch {
  readonly count: number;
  readonly registers: Readonly<Registers>;
}

/**
 * RFC 3394 §2.2.2, index form, for all keys of a batch. A key's bytes mean nothing unless `isIntact` says so.
 * Clear the result after use.
 */
export function unwrapKeys(kek: KeyObject, { words, offsets }: WrappedKeys): KeyBatch {
  const registers = newRegisters(offsets.length);
  for (let key = 0; key < offsets.length; key++) {
    const offset = offsets[key] ?? ABSENT;
    if (offset !== ABSENT) loadWrapped(registers, key * BLOCK_WORDS, words, offset);
  }
  const decipher = createDecipheriv('aes-256-ecb', kek, null).setAutoPadding(false);
  for (let step = STEPS; step > 0; step--) {
    const index = (step - 1) % REGISTERS;
    const input = registerAt(registers, index);
    const output = wordsOf(decipher.update(input));
    input.fill(0);
    registers[index] = output;
    if (step > 1) passOn(output, registerAt(registers, (step - 2) % REGISTERS), COUNTERS[step - 1] ?? 0);
  }
  decipher.final(); // Frees OpenSSL's expanded key now, instead of when the garbage collector comes by.
  return { count: offsets.length, registers };
}

/**
 * RFC 3394 §2.2.1, index form: writes the wrapping of each key to its offset. The keys stay in `keys`, their
 * integrity check values do not: ask `isIntact` before.
 */
export function wrapKeys(kek: KeyObject, keys: KeyBatch, { words, offsets }: WrappedKeys): void {
  const registers: Registers = [...keys.registers];
  setInitialValue(registers[0]);
  const cipher = createCipheriv('aes-256-ecb', kek, null).setAutoPadding(false);
  for (let step = 1; step <= STEPS; step++) {
    const index = (step - 1) % REGISTERS;
    const input = registerAt(registers, index);
    const output = wordsOf(cipher.update(input));
    if (step > REGISTERS) input.fill(0); // The first four are the keys themselves, which the caller keeps.
    registers[index] = output;
    if (step < STEPS) passOn(output, registerAt(registers, step % REGISTERS), COUNTERS[step] ?? 0);
  }
  cipher.final();
  for (let key = 0; key < offsets.length; key++) {
    const offset = offsets[key] ?? ABSENT;
    if (offset !== ABSENT) storeWrapped(registers, key * BLOCK_WORDS, words, offset);
  }
}

/** Whether a key's integrity check value is RFC 3394's (§2.2.3.1). In constant time, and only once all steps ran. */
export function isIntact(keys: KeyBatch, key: number): boolean {
  const [first] = keys.registers;
  const at = key * BLOCK_WORDS;
  return (((first[at] ?? 0) ^ INTEGRITY_WORD) | ((first[at + 1] ?? 0) ^ INTEGRITY_WORD)) === 0;
}

/** Whether both batches hold the same key there, in constant time. */
export function isSameKey(a: KeyBatch, b: KeyBatch, key: number): boolean {
  const at = key * BLOCK_WORDS + 2;
  let difference = 0;
  for (let index = 0; index < REGISTERS; index++) {
    const left = registerAt(a.registers, index);
    const right = registerAt(b.registers, index);
    difference |= (left[at] ?? 0) ^ (right[at] ?? 1);
    difference |= (left[at + 1] ?? 0) ^ (right[at + 1] ?? 1);
  }
  return difference === 0;
}

/** A batch of the keys at these word offsets, 8 words each. */
export function loadKeys(words: Int32Array, offsets: Int32Array): KeyBatch {
  const registers = newRegisters(offsets.length);
  for (let key = 0; key < offsets.length; key++) {
    const offset = offsets[key] ?? 0;
    const at = key * BLOCK_WORDS + 2;
    for (let index = 0; index < REGISTERS; index++) {
      const register = registerAt(registers, index);
      register[at] = words[offset + 2 * index] ?? 0;
      register[at + 1] = words[offset + 2 * index + 1] ?? 0;
    }
  }
  return { count: offsets.length, registers };
}

/** Writes one key's 8 words to the beginning of `target`. */
export function copyKey(keys: KeyBatch, key: number, target: Int32Array): void {
  const at = key * BLOCK_WORDS + 2;
  for (let index = 0; index < REGISTERS; index++) {
    const register = registerAt(keys.registers, index);
    target[2 * index] = register[at] ?? 0;
    target[2 * index + 1] = register[at + 1] ?? 0;
  }
}

export function clearKeys(keys: KeyBatch): void {
  for (const register of keys.registers) register.fill(0);
}

function newRegisters(count: number): Registers {
  const register = () => new Int32Array(count * BLOCK_WORDS);
  return [register(), register(), register(), register()];
}

function registerAt(registers: readonly Int32Array[], index: number): Int32Array {
  const register = registers[index];
  if (register === undefined) throw new RangeError(`no register ${index}`);
  return register;
}

/** The cipher's output as words. Node gives each output memory of its own, so it is aligned; if not, this throws. */
function wordsOf(output: Buffer): Int32Array {
  return new Int32Array(output.buffer, output.byteOffset, output.length / Int32Array.BYTES_PER_ELEMENT);
}

/** The A half of each block, with the step's counter xored in, becomes that of the next step's register. */
function passOn(output: Int32Array, next: Int32Array, counter: number): void {
  for (let at = 0; at < output.length; at += BLOCK_WORDS) {
    next[at] = output[at] ?? 0;
    next[at + 1] = (output[at + 1] ?? 0) ^ counter;
  }
}

function setInitialValue(register: Int32Array): void {
  for (let at = 0; at < register.length; at += BLOCK_WORDS) {
    register[at] = INTEGRITY_WORD;
    register[at + 1] = INTEGRITY_WORD;
  }
}

/** C[0] to A of the last register, which unwrapping begins with; C[1] to C[4] to R[1] to R[4]. */
function loadWrapped([r1, r2, r3, r4]: Registers, at: number, words: Int32Array, offset: number): void {
  r4[at] = words[offset] ?? 0;
  r4[at + 1] = (words[offset + 1] ?? 0) ^ (COUNTERS[STEPS] ?? 0);
  r1[at + 2] = words[offset + 2] ?? 0;
  r1[at + 3] = words[offset + 3] ?? 0;
  r2[at + 2] = words[offset + 4] ?? 0;
  r2[at + 3] = words[offset + 5] ?? 0;
  r3[at + 2] = words[offset + 6] ?? 0;
  r3[at + 3] = words[offset + 7] ?? 0;
  r4[at + 2] = words[offset + 8] ?? 0;
  r4[at + 3] = words[offset + 9] ?? 0;
}

/** The reverse of `loadWrapped`: wrapping ends with A in the last register. */
function storeWrapped([r1, r2, r3, r4]: Registers, at: number, words: Int32Array, offset: number): void {
  words[offset] = r4[at] ?? 0;
  words[offset + 1] = (r4[at + 1] ?? 0) ^ (COUNTERS[STEPS] ?? 0);
  words[offset + 2] = r1[at + 2] ?? 0;
  words[offset + 3] = r1[at + 3] ?? 0;
  words[offset + 4] = r2[at + 2] ?? 0;
  words[offset + 5] = r2[at + 3] ?? 0;
  words[offset + 6] = r3[at + 2] ?? 0;
  words[offset + 7] = r3[at + 3] ?? 0;
  words[offset + 8] = r4[at + 2] ?? 0;
  words[offset + 9] = r4[at + 3] ?? 0;
}
