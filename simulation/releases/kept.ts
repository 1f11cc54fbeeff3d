import type { HappenedEvent } from '../history.ts';
import { changeParts, LATER } from './later.ts';

/** Whether what the next release has written stays: in each commit of an item after the first that has it, in the same part. */
export function createKeeper(violated: (rule: string, what: string) => void) {
  /** By item: the names of its parts that have it. */
  const having = new Map<string, ReadonlySet<string>>();
  return {
    see(event: HappenedEvent): void {
      if (event.kind !== 'item' || !KINDS.has(event.item) || event.value === null) return;
      const name = `${event.item} ${event.id}`;
      const parts = partsOf(event.item, event.value as Part);
      const has = new Set([...parts].flatMap(([part, has]) => (has ? [part] : [])));
      for (const part of having.get(name) ?? []) {
        if (parts.get(part) === false)
          violated('releases', `${event.by} erased what the next release wrote in ${part} of ${name}`);
      }
      if (has.size > 0) having.set(name, has);
    },
  };
}

type Part = Readonly<Record<string, unknown>>;

const KINDS: ReadonlySet<string> = new Set(['keys', 'jobs', 'restores', 'approvalVoids']);

/** Each part of an item, and whether it has what only the next release knows. */
function partsOf(kind: string, item: Part): ReadonlyMap<string, boolean> {
  const parts = new Map<string, boolean>();
  changeParts(kind, item, (part) => {
    const { holdId, version } = part;
    const name =
      kind !== 'keys' ? 'the whole' : holdId === undefined ? `version ${version}` : `hold ${holdId}`;
    parts.set(name, LATER in part);
    return part;
  });
  return parts;
}
