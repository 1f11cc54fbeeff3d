import { check } from '../checker/check.ts';
import type { Outcome, Violation } from '../simulate.ts';
import { describeEntry } from './describe-entry.ts';

/** What a person reads of a violation: what it is, how it came to it, and how to see it again. Pure. */

const TRACE_LINES = 40;
const ENTRIES_BEFORE = 25;
const ENTRIES_AFTER = 5;

/** `outcome` with its trace. */
export function reportViolation(
  outcome: Outcome,
  { rule, what, step }: Violation,
  command: string,
): string[] {
  const { seed, trace, traceHash } = outcome;
  return [
    `Seed ${seed} violates ${nameOf(rule)} at step ${step} of ${outcome.steps}:`,
    `  ${what}`,
    '',
    `The last of its trace, which has ${trace.length} lines (SHA-256 ${traceHash}):`,
    ...trace.slice(-TRACE_LINES).map((line) => `  ${line}`),
    '',
    'The history where it was seen:',
    ...entriesOf(outcome, rule).map((line) => `  ${line}`),
    '',
    'Again, always the same:',
    `  ${command}`,
  ];
}

function nameOf(rule: string): string {
  return /^[0-9]+$/.test(rule) ? `invariant ${rule}` : rule;
}

/** Around the entry that the checker names; where it was seen by a step, the last ones. */
function entriesOf({ history }: Outcome, rule: string): string[] {
  const found = check(history).find((finding) => finding.rule === rule);
  const seen = found === undefined ? history.length - 1 : history.findIndex(({ seq }) => seq === found.seq);
  return history
    .slice(Math.max(0, seen - ENTRIES_BEFORE), seen + 1 + ENTRIES_AFTER)
    .map((entry) => `${entry === history[seen] ? '>' : ' '} ${describeEntry(entry)}`);
}
