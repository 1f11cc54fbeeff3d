import { findUndeclared } from '../../shared/census/undeclared.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import type { Finding } from './checks.ts';
import { count, counted } from './format.ts';

/** Columns that hold envelopes and that no record set declares. */
export async function columnsFinding(deps: Deps, store: string): Promise<Finding> {
  const deadline = deps.clock.now() + SEARCH_MS;
  // No key in particular: every envelope counts.
  const { found, unsearched } = await findUndeclared(deps, store, { keyId: NO_KEY }, 0, deadline);
  if (found.length > 0) {
    const names = found.slice(0, 5).map(({ table, column }) => `${table}.${column}`);
    const more = found.length > names.length ? ` and ${count(found.length - names.length)} more` : '';
    return {
      warning: `no record set declares these, which hold envelopes: ${names.join(', ')}${more}`,
      remedy: 'Declare them, or clear them: a purge is refused while they hold envelopes of its key.',
    };
  }
  const left = unsearched.reduce((sum, { more = 1 }) => sum + more, 0);
  const not =
    left === 0
      ? ''
      : `; ${counted(left, 'table')} not looked into, or in part: \`keyturn census --completeness\` names them`;
  return `no column that nobody declares holds envelopes${not}`;
}

/** A check is no census: what takes longer is named as not looked into. */
const SEARCH_MS = 30_000;

/** The nil UUID (RFC 9562, section 5.9): no key has it. */
const NO_KEY = '00000000-0000-0000-0000-000000000000';
