import { hash } from 'node:crypto';
import type pg from 'pg';
import { z } from 'zod';

/** A pool or one of its connections. */
export interface Queryable {
  query(query: Statement): Promise<{ readonly rows: readonly unknown[]; readonly rowCount: number | null }>;
}

export interface Statement {
  readonly text: string;
  readonly values?: readonly unknown[];
  /** A connection parses and plans it once under this name, see `prepared`. */
  readonly name?: string;

  /** Milliseconds on our side; 0: none. */
  readonly query_timeout?: number;
}

/**
 * For a statement that runs once a chunk: to parse and plan it takes as long as a tenth of a chunk's write. Only for one
 * whose text does not depend on the records, since a connection keeps every text for as long as it lives; and whose answer
 * has the same columns whatever becomes of the table, since another plan may not change them.
 */
export function prepared(statement: Statement): Statement {
  return { ...statement, name: hash('sha256', statement.text, 'base64url') };
}

/**
 * Runs `work` on one connection of the pool, in a transaction. A connection that could not even roll back is
 * closed, so that nobody gets it with an open transaction.
 */
export async function inTransaction<T>(
  pool: pg.Pool,
  begin: string,
  work: (db: Queryable) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  const db = asQueryable(client);
  let broken = true;
  try {
    await client.query(begin);
    const result = await work(db);
    await client.query('COMMIT');
    broken = false;
    return result;
  } catch (error) {
    broken = await client.query('ROLLBACK').then(
      () => false,
      () => true,
    );
    throw error;
  } finally {
    client.release(broken);
  }
}

/** `pg` types rows as any; here they are unknown until they were checked. */
export function asQueryable(db: pg.Pool | pg.PoolClient): Queryable {
  return {
    async query({ values = [], ...rest }) {
      const result = await db.query({ ...rest, values: [...values] });
      return { rows: z.array(z.unknown()).parse(result.rows), rowCount: result.rowCount };
    },
  };
}

/** No limit, for the statements whose length depends on the table's. 24 days is the longest timer. */
export const NO_QUERY_TIMEOUT = 2_147_483_647;
