import type { RecordKey, Scope, StalePage } from '../record-store.ts';
import { type Item, keyOf, nameOfKey } from './attributes.ts';
import { formatCursor, parseCursor, parseSegment } from './cursor.ts';
import { isStale } from './envelopes.ts';
import { getItems } from './read.ts';
import type { Requests } from './requests.ts';
import type { TableShape } from './table.ts';
import { listingWalk, type Walk, type WalkPage } from './walk.ts';

export interface ListingLimits {
  /** Most pages that one listing reads. */
  readonly pages: number;
  /** Fewest items that one page may be limited to: what is read beyond the last one listed is read again. */
  readonly pageItems: number;
}

/**
 * Eventually consistent, at half the price: what it misses, the census finds and the next round lists. Costs a read
 * of each item; with an index, of each of the tenant's items and their keys in the index.
 */
export async function listStaleKeys(
  requests: Requests,
  shape: TableShape,
  scope: Scope,
  active: number,
  at: { segment: string; after: string | null; limit: number; until: string | undefined },
  limits: ListingLimits,
): Promise<StalePage> {
  const { limit } = at;
  // Where it ends at a key, it must see that key, whosever record it is by now.
  const walk = listingWalk(requests, shape, parseSegment(at.segment), scope, at.until === undefined);
  const end = at.until === undefined ? null : await findEnd(walk, shape, parseCursor(at.until, shape.keys));
  let after = at.after === null ? null : parseCursor(at.after, shape.keys);
  const keys: RecordKey[] = [];
  for (let pages = 0; pages < limits.pages; pages++) {
    const found = await walk.next(after, Math.max(limit - keys.length, limits.pageItems));
    const page = end === null ? found : cutAt(found, end, shape);
    const stale = await staleKeys(requests, shape, walk, page.items, scope, active);
    for (const [i, key] of stale.entries()) {
      keys.push(key);
      const more = i + 1 < stale.length || page.last !== null;
      if (keys.length === limit) return { keys, cursor: more ? formatCursor(key) : null };
    }
    if (page.last === null) return { keys, cursor: null };
    after = page.last;
  }
  return { keys, cursor: after && formatCursor(after) };
}

/** Envelopes held at one time: those of so many items, in answers of at most 16 MB. */
const LOOKUP_KEYS = 500;

/** The keys, in order, of those items that are stale. */
async function staleKeys(
  requests: Requests,
  shape: TableShape,
  walk: Walk,
  items: readonly Item[],
  scope: Scope,
  active: number,
): Promise<RecordKey[]> {
  if (walk.whole) {
    return items.filter((item) => isStale(shape, item, scope, active)).map((item) => keyOf(item, shape.keys));
  }
  const stale: RecordKey[] = [];
  for (let start = 0; start < items.length; start += LOOKUP_KEYS) {
    const keys = items.slice(start, start + LOOKUP_KEYS).map((item) => keyOf(item, shape.keys));
    const found = await getItems(requests, shape, keys, false);
    for (const [i, key] of keys.entries()) {
      const item = found[i] ?? null;
      if (item !== null && isStale(shape, item, scope, active)) stale.push(key);
    }
  }
  return stale;
}

/** A range ends with `last`, or before `next`, the key that followed it when the listing began. */
interface RangeEnd {
  readonly last: string;
  readonly next: string | undefined;
}

/**
 * Keys have no order that could be compared: their place is by a hash that only DynamoDB knows. So a range is left at
 * its last key, or, when that record is gone, at the one after it. Should both be gone, the listing runs on, which is
 * harmless: the caller takes no more keys than it asked for, and working on a record twice changes nothing.
 */
async function findEnd(walk: Walk, { keys }: TableShape, last: RecordKey): Promise<RangeEnd> {
  let next: Item | undefined;
  for (let after: RecordKey | null = last; after !== null && next === undefined; ) {
    const page: WalkPage = await walk.next(after, 1);
    next = page.items[0];
    after = page.last;
  }
  return { last: nameOfKey(last), next: next && nameOfKey(keyOf(next, keys)) };
}

function cutAt(page: WalkPage, end: RangeEnd, { keys }: TableShape): WalkPage {
  const names = page.items.map((item) => nameOfKey(keyOf(item, keys)));
  const at = names.findIndex((name) => name === end.last || name === end.next);
  if (at === -1) return page;
  return { ...page, items: page.items.slice(0, names[at] === end.last ? at + 1 : at), last: null };
}
