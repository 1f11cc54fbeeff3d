import { z } from 'zod';
import type { RecordKey, Scope } from '../record-store.ts';
import { formatSegment } from './cursor.ts';
import { isKey, unexpected } from './read.ts';
import { sampledBounds, tablePages } from './sql/rows.ts';
import type { TableShape } from './table.ts';
import type { Queryable } from './transaction.ts';

/** Pages read to find the bounds: all of a small table, a thousandth of one of 2.4 GB. */
const SAMPLED_PAGES = 300;
/** Fewer sampled rows a segment say little about where the tenant's are. */
const ENOUGH_ROWS = 10;

const pagesSchema = z.tuple([z.object({ pages: z.number() })]);
const boundsSchema = z.tuple([z.object({ rows: z.int(), bounds: z.array(z.unknown()) })]);

/** Ranges of keys that hold about as many of the scope's records each, and together every key there can be. */
export async function findSegments(
  db: Queryable,
  shape: TableShape,
  scope: Pick<Scope, 'tenant'> | undefined,
  count: number,
): Promise<readonly string[]> {
  const bounds = count <= 1 ? [] : await findBounds(db, shape, scope, Math.trunc(count));
  const ends = [null, ...bounds, null];
  return ends.slice(1).map((to, i) => formatSegment({ from: ends[i] ?? null, to }));
}

async function findBounds(
  db: Queryable,
  shape: TableShape,
  scope: Pick<Scope, 'tenant'> | undefined,
  count: number,
): Promise<readonly RecordKey[]> {
  const [{ pages }] = pagesSchema.parse((await db.query(tablePages(shape))).rows);
  const percent = pages <= SAMPLED_PAGES ? 100 : (100 * SAMPLED_PAGES) / pages;
  const sample = async (of: Pick<Scope, 'tenant'> | undefined) => {
    const [found] = boundsSchema.parse((await db.query(sampledBounds(shape, of, count, percent))).rows);
    return found;
  };
  let found = await sample(scope);
  // Any bounds are right; those of the whole table are the better guess for a tenant that the sample missed.
  if (scope !== undefined && percent < 100 && found.rows < count * ENOUGH_ROWS)
    found = await sample(undefined);
  return found.bounds.map((key) => {
    if (!isKey(key)) throw unexpected();
    return key;
  });
}
