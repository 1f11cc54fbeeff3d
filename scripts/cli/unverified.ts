import type { Ledger } from '../../shared/ledger/ledger.ts';
import { count } from './format.ts';
import type { Output } from './output.ts';
import type { Session } from './session.ts';

/** Runs the work, and says at its end what the lists that it read had to leave out. */
export async function tellingUnverified(
  session: Session,
  out: Output,
  work: (session: Session) => Promise<number>,
): Promise<number> {
  const left = new Set<string>();
  const deps = { ...session.deps, ledger: tellingOf(session.deps.ledger, left) };
  try {
    return await work({ ...session, deps });
  } finally {
    const warning = unverifiedWarning(left);
    if (warning !== null) out.warn(warning);
  }
}

/** A ledger whose lists say in `left` which items they leave out, each once: a list without a word of it would look whole. */
export function tellingOf(ledger: Ledger, left: Set<string>): Ledger {
  const leftOut = (onSkipped: ((what: string) => void) | undefined) => (what: string) => {
    left.add(what);
    onSkipped?.(what);
  };
  return {
    ...ledger,
    listKeys: (onSkipped) => ledger.listKeys(leftOut(onSkipped)),
    listJobs: (filter, onSkipped) => ledger.listJobs(filter, leftOut(onSkipped)),
    listApprovalRequests: (filter, onSkipped) => ledger.listApprovalRequests(filter, leftOut(onSkipped)),
  };
}

/** `1 item could not be verified or read, and is left out: …`. Null: there is none. */
export function unverifiedWarning(left: ReadonlySet<string>): string | null {
  if (left.size === 0) return null;
  const [one, is] = left.size === 1 ? ['item', 'is'] : ['items', 'are'];
  const names = [...left].slice(0, NAMED);
  const more = left.size > NAMED ? `, and ${count(left.size - NAMED)} more` : '';
  return `${count(left.size)} ${one} could not be verified or read, and ${is} left out: ${names.join('; ')}${more} (docs/runbook.md)`;
}

const NAMED = 5;
