/** Bytes of values that one batch of a worker should hold. It has four batches in work, and copies of each. */
export const BATCH_BYTES = 16 * 1024 * 1024;
/** Records of a record set's first batch, of which nothing is known yet. */
const FIRST_BATCH = 64;

/** How many records fit into a batch, by what was seen of each record set: large values come in small batches. */
export interface BatchSizes {
  next(recordSet: string): number;
  learn(recordSet: string, records: number, bytes: number): void;
}

export function createBatchSizes(): BatchSizes {
  const largest = new Map<string, number>();
  return {
    next(recordSet) {
      const bytes = largest.get(recordSet);
      if (bytes === undefined) return FIRST_BATCH;
      return Math.max(1, Math.floor(BATCH_BYTES / Math.max(bytes, 1)));
    },
    learn(recordSet, records, bytes) {
      if (records === 0) return;
      const average = bytes / records;
      const known = largest.get(recordSet) ?? 0;
      // Grows at once, shrinks slowly: a batch of small values says little of the next.
      largest.set(recordSet, Math.max(average, known * 0.9));
    },
  };
}
