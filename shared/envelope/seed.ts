import { randomFillSync } from 'node:crypto';
import { DEK_LENGTH, IV_LENGTH } from './layout.ts';
import type { RandomFill } from './types.ts';

/** What one encryption draws: 32 bytes of DEK, then 12 of IV. A batch draws them all at once, which is faster. */
export const SEED_LENGTH = DEK_LENGTH + IV_LENGTH;

export const fillRandom: RandomFill = (buffer) => {
  randomFillSync(buffer);
};
