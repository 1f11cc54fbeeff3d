import { z } from 'zod';
import type { Clock } from '../../clock/clock.ts';
import { RecordStoreError } from '../../errors/errors.ts';
import type { PlaintextRecord, RecordKey } from '../record-store.ts';
import type { TableConnection } from './connection.ts';
import { parseCursor } from './cursor.ts';
import { sqlState } from './failures.ts';
import { isKey, queryPage, unexpected } from './read.ts';
import { readPlaintext } from './records.ts';
import {
  adoptable,
  beginAlter,
  CURRENT_WRITER,
  dropColumns,
  everyPage,
  fetchWritten,
  holdersThatWait,
  lockTable,
  lockTimeout,
  OLDEST_WRITER,
  writtenWithin,
} from './sql/adoption.ts';
import { DEPENDENT_VIEWS } from './sql/catalog.ts';
import { quoteTable } from './sql/identifiers.ts';
import type { TableShape } from './table.ts';
import { inTransaction, NO_QUERY_TIMEOUT, type Queryable, type Statement } from './transaction.ts';

const PAGE = 500;

interface DropOptions {
  readonly lockTimeoutMs: number;
  readonly clock: Clock;
}

type Verify = (records: readonly PlaintextRecord[]) => Promise<void>;

/**
 * Every row is verified twice over at most: once while the application goes on, and, if it was written since that
 * began, again under a lock that lets nobody write until the columns are gone. Reading goes on under that lock, SHARE
 * ROW EXCLUSIVE: whoever wrote had ended before it was given, so that what it verifies is all there is. Readers wait
 * for the DROP alone.
 */
export async function dropPlaintext(
  connection: TableConnection,
  { lockTimeoutMs, clock }: DropOptions,
  verify: Verify,
  onProgress: (rows: number) => void = () => {},
): Promise<readonly string[]> {
  const { config, db, pool } = connection;
  const { catalog, shape, problems } = await connection.survey();
  connection.assertNone(problems);
  const columns = plaintextColumns(shape);
  if (columns.length === 0) return [];
  if (!catalog.isOwner)
    throw connection.notOwner('drop the plaintext columns', dropColumns(config.table, columns));
  await assertNoViews(connection, columns);

  const since = await writer(db, OLDEST_WRITER);
  let verified = 0;
  const verifyKeys = async (on: Queryable, keys: readonly RecordKey[]) => {
    const records = await readPlaintext(on, shape, keys);
    await verify(records.filter((record) => record !== null));
    verified += keys.length;
    onProgress(verified);
  };
  for await (const keys of everyKey(db, shape)) await verifyKeys(db, keys);

  const dropped = await inTransaction(pool, beginAlter(lockTimeoutMs), async (tx) => {
    const run = (text: string) => tx.query({ text, query_timeout: NO_QUERY_TIMEOUT });
    await run(lockTable(config.table, 'SHARE ROW EXCLUSIVE'));
    const left = plaintextColumns((await connection.survey(tx)).shape);
    // Another process was faster.
    if (left.length === 0) return left;
    const now = await writer(tx, CURRENT_WRITER);
    await run(writtenWithin(shape, now - since).text);
    for (;;) {
      const keys = writtenKeys((await run(fetchWritten(PAGE).text)).rows);
      if (keys.length === 0) break;
      await verifyKeys(tx, keys);
    }
    await run('CLOSE written');
    await lockOutReaders(tx, connection, lockTimeoutMs, clock);
    await run(dropColumns(config.table, left));
    return left;
  });
  connection.forgetShape();
  return dropped;
}

/** Below any sensible deadlock_timeout (1 s by default). */
const LOCK_WAIT_MS = 200;
const LOCK_PAUSE_MS = 50;

const waitsSchema = z.tuple([z.object({ waits: z.boolean() })]);

/**
 * From SHARE ROW EXCLUSIVE to ACCESS EXCLUSIVE. A transaction that has read the table and now waits to write it can
 * go on only when ours ends, and ours could only when that one ends: a deadlock, in which PostgreSQL might well
 * choose the application's transaction to fail. So ours gives up when it sees one, and waits for shorter than such a
 * transaction does before it looks for a deadlock; each time, readers queue up behind it no longer than that.
 */
async function lockOutReaders(
  tx: Queryable,
  { config, recordSet }: TableConnection,
  timeoutMs: number,
  clock: Clock,
): Promise<void> {
  const run = (text: string) => tx.query({ text });
  const deadline = clock.now() + timeoutMs;
  await run(lockTimeout(Math.min(LOCK_WAIT_MS, timeoutMs)));
  for (;;) {
    const [{ waits }] = waitsSchema.parse((await tx.query(holdersThatWait(config.table))).rows);
    if (waits) throw busy(recordSet, config.table);
    await run('SAVEPOINT readers');
    try {
      await run(lockTable(config.table, 'ACCESS EXCLUSIVE'));
      return;
    } catch (error) {
      if (sqlState(error) !== LOCK_NOT_AVAILABLE || clock.now() >= deadline) throw error;
      await run('ROLLBACK TO SAVEPOINT readers');
      await clock.sleep(LOCK_PAUSE_MS);
    }
  }
}

const LOCK_NOT_AVAILABLE = '55P03';

function busy(recordSet: string, table: string): RecordStoreError {
  return new RecordStoreError(
    'STORE_BUSY',
    `Record set "${recordSet}", table "${table}": a transaction that has read the table waits to write it, and would wait for ever. Nothing was dropped.`,
    { retryable: true, remedy: 'Run it again when the application is quiet.' },
  );
}

function plaintextColumns(shape: TableShape): readonly string[] {
  return [...new Set(adoptable(shape).map(({ plaintext }) => plaintext.column))];
}

async function assertNoViews(connection: TableConnection, columns: readonly string[]): Promise<void> {
  const { recordSet, config, db } = connection;
  const { rows } = await db.query({ text: DEPENDENT_VIEWS, values: [quoteTable(config.table), columns] });
  const found = z.array(z.object({ view: z.string(), column: z.string() })).parse(rows);
  if (found.length === 0) return;
  const list = found.map(({ view, column }) => `${view} (column "${column}")`).join(', ');
  throw new RecordStoreError(
    'STORE_FAILED',
    `Record set "${recordSet}", table "${config.table}": views depend on its plaintext columns: ${list}. Nothing was dropped.`,
    { remedy: 'Change or drop these views first.' },
  );
}

const writerSchema = z.tuple([z.object({ xmin: z.string().transform(BigInt) })]);

async function writer(db: Queryable, statement: Statement): Promise<bigint> {
  const [{ xmin }] = writerSchema.parse((await db.query(statement)).rows);
  return xmin;
}

async function* everyKey(db: Queryable, shape: TableShape): AsyncGenerator<readonly RecordKey[]> {
  for (let from: RecordKey | null = null; ; ) {
    const bounds = { range: { from, to: null }, limit: PAGE, scan: PAGE };
    const { keys, cursor } = await queryPage(db, everyPage(shape, bounds), bounds);
    if (keys.length > 0) yield keys;
    if (cursor === null) return;
    from = parseCursor(cursor, shape.keys);
  }
}

const writtenSchema = z.array(z.object({ key: z.unknown() }));

function writtenKeys(rows: readonly unknown[]): readonly RecordKey[] {
  return writtenSchema.parse(rows).map(({ key }) => {
    if (!isKey(key)) throw unexpected();
    return key;
  });
}
