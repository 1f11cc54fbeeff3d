/**
 * What the next release has that this one does not know: one member more in items of the ledger and in messages. In an item
 * of a key it is in each version and hold; in other kinds at the top.
 */
export const LATER = 'later';

type Part = Readonly<Record<string, unknown>>;

/** Applies `change` to every part of an item that may have the member. */
export function changeParts(kind: string, item: Part, change: (part: Part) => Part): Part {
  if (kind !== 'keys') return change(item);
  const { versions, holds } = item as { versions: Readonly<Record<string, Part>>; holds: readonly Part[] };
  const changed = Object.entries(versions).map(([number, version]) => [number, change(version)] as const);
  return { ...item, versions: Object.fromEntries(changed), holds: holds.map(change) };
}
