import { describe, expect, it } from 'vitest';
import { BATCH_BYTES, createBatchSizes } from '../../../shared/rotation/batch-sizes.ts';

describe('how many records a worker reads at a time', () => {
  it('begins small, then fills its budget of bytes', () => {
    const sizes = createBatchSizes();
    expect(sizes.next('notes')).toBe(64);
    sizes.learn('notes', 64, 64 * 300);
    expect(sizes.next('notes')).toBe(Math.floor(BATCH_BYTES / 300));
    expect(sizes.next('scans')).toBe(64);
  });

  it('comes down to single records for values beyond the budget, at once, and goes up again slowly', () => {
    const sizes = createBatchSizes();
    sizes.learn('scans', 1, 2 * BATCH_BYTES);
    expect(sizes.next('scans')).toBe(1);
    sizes.learn('scans', 1, 100);
    expect(sizes.next('scans')).toBe(1);
    for (let i = 0; i < 50; i++) sizes.learn('scans', 1, 100);
    expect(sizes.next('scans')).toBeGreaterThan(50);
  });

  it('learns nothing from an empty batch', () => {
    const sizes = createBatchSizes();
    sizes.learn('gone', 0, 0);
    expect(sizes.next('gone')).toBe(64);
  });
});
