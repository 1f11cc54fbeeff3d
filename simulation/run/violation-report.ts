import type { Outcome, Violation } from '../simulate.ts';
import { describeEntry } from './describe-entry.ts';

/** What a person reads of a violation: what it is, how it came to it, and how to see it again. Pure. */

const TRACE_LINES = 40;
const ENTRIES_BEFORE = 25;
const ENTRIES_AFTER = 5;

/** `outcome` with its trace. */
export function reportViolation(
  outcome: Outcome,
  { rule, what, step, seq }: Violation,
  command: string,
): string[] {
  const { seed, trace, traceHash, history } = outcome;
  const until = new Date(history[seq]?.at ?? 0).toISOString();
  const end = trace.findLastIndex((line) => line.slice(0, until.length) <= until) + 1;
  return [
    `Seed ${seed} violates ${nameOf(rule)} at step ${step} of ${outcome.steps}:`,
    `  ${what}`,
    '',
    `Its trace up to there, of ${trace.length} lines in all (SHA-256 ${traceHash}):`,
    ...trace.slice(Math.max(0, end - TRACE_LINES), end).map((line) => `  ${line}`),
    '',
    'The history around it:',
    ...history
      .slice(Math.max(0, seq - ENTRIES_BEFORE), seq + 1 + ENTRIES_AFTER)
      .map((entry) => `${entry === history[seq] ? '  >' : '   '} ${describeEntry(entry)}`),
    '',
    'Again, always the same:',
    `  ${command}`,
  ];
}

function nameOf(rule: string): string {
  return /^[0-9]+$/.test(rule) ? `invariant ${rule}` : rule;
}
