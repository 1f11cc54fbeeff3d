import { inLanes } from '../concurrency/in-lanes.ts';
import type { TenantKey } from '../keyring/key.ts';

/** A restore goes over every key of its store: many at a time, and it says how far it has come. */

export type OnProgress = (done: number, of: number) => void;

/** Keys in work at one time. */
export const LANES = 16;

export function eachKey<T>(
  keys: readonly TenantKey[],
  onProgress: OnProgress,
  run: (key: TenantKey) => Promise<T>,
): Promise<T[]> {
  let done = 0;
  return inLanes(keys, LANES, async (key) => {
    const result = await run(key);
    done += 1;
    onProgress(done, keys.length);
    return result;
  });
}
