/** The envelope library: what applications import. No I/O, environment or clock. @see docs/envelope.md */

export { inspect } from './inspect.ts';
export { createKek, type KekInput, kidOf, parseKid } from './kek.ts';
export * from './layout.ts';
export { open } from './open.ts';
export { type ReencryptItem, reencryptBatch } from './reencrypt.ts';
export { rewrap, rewrapBatch } from './rewrap.ts';
export { seal } from './seal.ts';
export { fillRandom } from './seed.ts';
export { fromText, toText } from './text.ts';
export { isTombstone, makeTombstone, readTombstone, type Tombstone } from './tombstone.ts';
export type { EnvelopeContext, EnvelopeInfo, Kek, RandomFill, RewrapOutcome } from './types.ts';
