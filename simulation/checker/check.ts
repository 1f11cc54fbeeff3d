import { createBook } from './book.ts';
import type { Finding, HistoryEntry } from './entries.ts';
import type { MakeRule } from './rule.ts';
import { approvals } from './rules/approvals.ts';
import { audit } from './rules/audit.ts';
import { barrier } from './rules/barrier.ts';
import { certificates } from './rules/certificates.ts';
import { completion } from './rules/completion.ts';
import { decisions } from './rules/decisions.ts';
import { destruction } from './rules/destruction.ts';
import { grace } from './rules/grace.ts';
import { jobs } from './rules/jobs.ts';
import { keys } from './rules/keys.ts';
import { liveness } from './rules/liveness.ts';
import { progress } from './rules/progress.ts';
import { quarantine } from './rules/quarantine.ts';
import { reads } from './rules/reads.ts';
import { restores } from './rules/restores.ts';
import { rootKeys } from './rules/root-keys.ts';
import { secrets } from './rules/secrets.ts';
import { values } from './rules/values.ts';

export type { Finding, HistoryEntry } from './entries.ts';

/**
 * Looks at the whole history of a simulation for what must never happen (docs/protocol.md). Written independently: it imports
 * nothing of the project, and reads envelopes, items and audit entries by what the documentation says of them.
 */

const RULES: readonly MakeRule[] = [
  values,
  keys,
  jobs,
  destruction,
  decisions,
  grace,
  barrier,
  completion,
  restores,
  progress,
  certificates,
  quarantine,
  approvals,
  rootKeys,
  audit,
  secrets,
  reads,
  liveness,
];

/** What is wrong once is often wrong in every entry that follows. */
const MOST_FINDINGS = 100;

/** In the order of the entries that they were seen at. */
export function check(history: readonly HistoryEntry[]): readonly Finding[] {
  const findings: Finding[] = [];
  let seq = 0;
  const find = (rule: string, what: string) => {
    findings.push({ rule, seq, what });
  };
  const book = createBook();
  const rules = RULES.map((make) => make(book, find));
  for (const entry of history) {
    seq = entry.seq;
    const change = book.changeOf(entry);
    for (const rule of rules) {
      if (change.is === 'key') rule.key?.(change);
      else if (change.is === 'job') rule.job?.(change);
      else if (change.is === 'restore') rule.restore?.(change);
      else if (change.is === 'record') rule.record?.(change);
      else rule.entry?.(change.entry);
    }
    book.keep(change);
    if (findings.length >= MOST_FINDINGS) return findings;
  }
  const last = history.at(-1);
  if (last !== undefined) for (const rule of rules) rule.end?.(last);
  return findings;
}
