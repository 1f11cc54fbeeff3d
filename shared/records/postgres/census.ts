import { z } from 'zod';
import type { Clock } from '../../clock/clock.ts';
import { kidOf } from '../../envelope/kek.ts';
import { RecordStoreError } from '../../errors/errors.ts';
import type { CensusCount, CensusReach, Scope } from '../record-store.ts';
import type { KeyRange } from './cursor.ts';
import { censusCounts, MARK, OLDEST_OPEN } from './sql/rows.ts';
import type { TableShape } from './table.ts';
import { NO_QUERY_TIMEOUT, type Queryable, type Statement } from './transaction.ts';

const KEY_ID_LENGTH = 16;
const FIRST_POLL_MS = 10;
const LONGEST_POLL_MS = 500;

const markSchema = z.tuple([z.object({ mark: z.string().transform(BigInt).nullable() })]);

/**
 * Waits until every transaction that has written and had begun before this call has ended, so that the next
 * statement sees what it wrote. A transaction that has begun but not written has no xid yet: the propagation
 * barrier before a census waits for those (`maxTransactionSeconds`).
 *
 * @param db autocommits, so that the mark itself does not stay open.
 */
export async function awaitEarlierWriters(
  db: Queryable,
  where: string,
  waitMs: number,
  clock: Clock,
): Promise<void> {
  const deadline = clock.now() + waitMs;
  const mark = await readMark(db, MARK, where);
  for (let pause = FIRST_POLL_MS; ; pause = Math.min(pause * 2, LONGEST_POLL_MS)) {
    if ((await readMark(db, OLDEST_OPEN, where)) > mark) return;
    const left = deadline - clock.now();
    if (left <= 0) {
      throw new RecordStoreError(
        'STORE_OPEN_TRANSACTIONS',
        `${where}: a transaction that began before the census has been open for more than ${waitMs} ms, so the census would not see what it writes.`,
        {
          retryable: true,
          remedy:
            'Let it end, or end it: SELECT pid, xact_start, state, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start; prepared ones are in pg_prepared_xacts.',
        },
      );
    }
    await clock.sleep(Math.min(pause, left));
  }
}

/** Throws on a standby: it may lag behind. */
async function readMark(db: Queryable, statement: Statement, where: string): Promise<bigint> {
  const [{ mark }] = markSchema.parse((await db.query(statement)).rows);
  if (mark !== null) return mark;
  throw new RecordStoreError(
    'STORE_READ_ONLY',
    `${where}: this server is a standby, which may lag behind; a census counts on the primary.`,
    { remedy: 'Point the store at the primary server.' },
  );
}

const countsSchema = z.array(
  z.object({ first: z.boolean(), class: z.string().nullable(), count: z.string().transform(Number) }),
);

export async function countEnvelopes(
  db: Queryable,
  shape: TableShape,
  scope: Scope,
  range: KeyRange,
  reach: CensusReach,
  place: string,
): Promise<CensusCount> {
  // Also here: a failover may have put this connection on another server than the wait was on.
  await readMark(db, OLDEST_OPEN, place);
  const keyId = kidOf(scope.keyId, 1).subarray(0, KEY_ID_LENGTH);
  const statement = censusCounts(shape, scope, keyId, range, reach === 'everywhere');
  const { rows } = await db.query({ ...statement, query_timeout: NO_QUERY_TIMEOUT });
  const counts = { rows: 0, values: 0, foreign: 0, malformed: 0, tombstones: 0 };
  const versions: Record<string, number> = {};
  for (const { first, class: kind, count } of countsSchema.parse(rows)) {
    if (first) counts.rows += count;
    if (kind === null) continue;
    counts.values += count;
    if (kind === 'f') counts.foreign += count;
    else if (kind === 'm') counts.malformed += count;
    else if (kind === 't') counts.tombstones += count;
    else if (kind !== 'o') {
      const version = String(Number.parseInt(kind.slice(1), 16));
      versions[version] = (versions[version] ?? 0) + count;
    }
  }
  return { ...counts, versions };
}
