import type { AuditEntry } from './entry.ts';

/** Told of the change itself, or of the first write alone: not to be seen in the item afterwards. */
const OF_THE_CHANGE: ReadonlySet<string> = new Set(['changes', 'requestedBy', 'recordSets']);

/**
 * The names of what an entry tells and the item does not say now. Entries of earlier releases may tell less: what one does
 * not tell is not compared.
 */
export function differences(
  told: AuditEntry['detail'],
  now: AuditEntry['detail'],
  untold: ReadonlySet<string> = new Set(),
): string[] {
  return Object.entries(told)
    .filter(([name, value]) => !untold.has(name) && JSON.stringify(now[name]) !== JSON.stringify(value))
    .map(([name]) => name);
}

/** The same, of an item that changes: what it says at the revision that the entry tells of. */
export function stateDifferences(told: AuditEntry['detail'], now: AuditEntry['detail']): string[] {
  return differences(told, now, OF_THE_CHANGE);
}
