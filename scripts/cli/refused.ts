import { type AskedFor, recordingRefusal } from '../../shared/audit/refusals.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import type { Output } from './output.ts';
import { userName } from './user-name.ts';

/** What a command asks of the domain, by whose name it is in the audit when it is refused. */
export type Asks = Omit<AskedFor, 'action' | 'actor' | 'claimed'>;

/** Does the work of a command; when the domain refuses it, the audit has the refusal before the person reads of it. */
export function tellingRefusal<T>(
  deps: Deps,
  out: Output,
  command: string,
  asks: Asks,
  work: () => Promise<T>,
): Promise<T> {
  const asked = { ...asks, action: command, actor: `person:${userName()}` };
  return recordingRefusal(deps, asked, work, (code) =>
    out.warn(`this refusal is not in the audit: ${code} (docs/errors.md)`),
  );
}
