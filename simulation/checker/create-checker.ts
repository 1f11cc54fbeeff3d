import { type Change, createBook } from './book.ts';
import type { Finding, HistoryEntry } from './entries.ts';
import type { MakeRule, Rule } from './rule.ts';
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
import { standstill } from './rules/standstill.ts';
import { values } from './rules/values.ts';

/**
 * Looks at every entry of a simulation's history for what must never happen (docs/protocol.md). Written independently: it imports
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
  standstill,
];

export interface Checker {
  /** The next entry of the history. */
  see(entry: HistoryEntry): void;
  /** Once, after the last entry. */
  end(last: HistoryEntry): void;
}

/** Looks at every entry as it comes. `find` is told what is wrong with it. */
export function createChecker(find: (finding: Finding) => void): Checker {
  let seq = 0;
  const book = createBook();
  const rules = RULES.map((make) => make(book, (rule, what) => find({ rule, seq, what })));
  return {
    see(entry) {
      seq = entry.seq;
      const change = book.changeOf(entry);
      for (const rule of rules) tell(rule, change);
      book.keep(change);
    },
    end(last) {
      for (const rule of rules) rule.end?.(last);
    },
  };
}

function tell(rule: Rule, change: Change): void {
  if (change.is === 'key') rule.key?.(change);
  else if (change.is === 'job') rule.job?.(change);
  else if (change.is === 'restore') rule.restore?.(change);
  else if (change.is === 'record') rule.record?.(change);
  else rule.entry?.(change.entry);
}
