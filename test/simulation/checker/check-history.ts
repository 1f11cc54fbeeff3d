import { createChecker } from '../../../simulation/checker/create-checker.ts';
import type { Finding, HistoryEntry } from '../../../simulation/checker/entries.ts';

/** A whole history at once, to its end. */
export function check(history: readonly HistoryEntry[]): readonly Finding[] {
  const findings: Finding[] = [];
  const checker = createChecker((finding) => findings.push(finding));
  for (const entry of history) checker.see(entry);
  const last = history.at(-1);
  if (last !== undefined) checker.end(last);
  return findings;
}
