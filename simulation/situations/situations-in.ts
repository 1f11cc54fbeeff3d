import type { TenantKey } from '../../shared/keyring/key.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import type { HistoryEntry } from '../history.ts';
import { createMemory } from './known.ts';
import { SITUATIONS } from './list.ts';
import type { Seen, Situation } from './situation.ts';

/** By what they look at: most entries are of no interest to most of them. */
const KINDS = ['key', 'job', 'restore', 'entry'] as const satisfies readonly (keyof Seen)[];

/** The names of all situations that come about in a history, in the order in which they do. One pass. Pure. */
export function situationsIn(history: readonly HistoryEntry[]): readonly string[] {
  const memory = createMemory();
  const seen = new Set<string>();
  /** Those that were not seen yet. */
  const open = Object.fromEntries(
    KINDS.map((kind) => [kind, SITUATIONS.filter((one) => one.seen[kind] !== undefined)]),
  ) as Record<keyof Seen, Situation[]>;
  const look = (kind: keyof Seen, isSeen: (situation: Seen) => boolean | undefined) => {
    let found = false;
    for (const { name, seen: looks } of open[kind]) {
      if (isSeen(looks) !== true) continue;
      seen.add(name);
      found = true;
    }
    if (found) open[kind] = open[kind].filter(({ name }) => !seen.has(name));
  };

  for (const entry of history) {
    const { at } = entry;
    const item = entry.kind === 'item' && entry.value !== null ? entry.item : null;
    if (item === 'keys') {
      const after = (entry as ItemOf<TenantKey>).value;
      const change = { at, before: memory.keys.get(after.keyId) ?? null, after };
      look('key', (is) => is.key?.(change, memory));
      memory.keepKey(after);
    } else if (item === 'jobs') {
      const after = (entry as ItemOf<Job>).value;
      const change = { at, before: memory.jobs.get(after.jobId) ?? null, after };
      look('job', (is) => is.job?.(change, memory));
      memory.keepJob(change.before, after);
    } else if (item === 'restores') {
      const after = (entry as ItemOf<Restore>).value;
      const change = { at, before: memory.restores.get(after.restoreId) ?? null, after };
      look('restore', (is) => is.restore?.(change, memory));
      memory.keepRestore(after);
    } else if (!isCommon(entry)) {
      look('entry', (is) => is.entry?.(entry, memory));
      memory.keep(entry);
    }
  }
  return [...seen];
}

/** Two thirds of all entries, and no situation looks at them. */
function isCommon(entry: HistoryEntry): boolean {
  return COMMON.has(entry.kind === 'item' ? entry.item : entry.kind);
}

const COMMON: ReadonlySet<string> = new Set([
  ...['backup', 'backup-lapsed', 'read', 'kek', 'execution', 'archived', 'published'],
  ...['audit', 'rounds', 'pages', 'segments', 'censuses', 'kept', 'events', 'marks'],
]);

interface ItemOf<T> {
  readonly value: T;
}
