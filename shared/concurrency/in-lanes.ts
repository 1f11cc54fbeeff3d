/**
 * Runs for each item, `lanes` at a time; the results in order. When one fails, no other begins, and its error is
 * thrown once those that had begun have ended: nothing is in flight when the caller goes on.
 */
export async function inLanes<T, R>(
  items: Iterable<T>,
  lanes: number,
  run: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const failures: unknown[] = [];
  const all = [...items];
  const waiting = all.entries();
  const lane = async () => {
    for (const [i, item] of waiting) {
      try {
        results[i] = await run(item);
      } catch (error) {
        failures.push(error);
      }
      if (failures.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, all.length) }, lane));
  if (failures.length > 0) throw failures[0];
  return results;
}
