import type pg from 'pg';
import type { Clock } from '../../clock/clock.ts';
import { systemClock } from '../../clock/system.ts';
import type { RecordSetConfig } from '../../config/schema.ts';
import { kidOf } from '../../envelope/kek.ts';
import type { AdoptableStore, FrameChange, RecordChange, Scope } from '../record-store.ts';
import { createAdoption } from './adoption.ts';
import { awaitEarlierWriters, countEnvelopes } from './census.ts';
import { TableConnection } from './connection.ts';
import { formatCursor, parseSegment } from './cursor.ts';
import { createFencing } from './fence.ts';
import { queryPage } from './read.ts';
import { assertChanges, assertFrames, pageBounds, readFrames, readRecords } from './records.ts';
import { applyChanges, changeBytes, envelopeInputs, frameBytes, frameInputs } from './replace.ts';
import { findSegments } from './segments.ts';
import { BEGIN_CENSUS, stalePage } from './sql/rows.ts';

export interface PostgresRecordStoreOptions {
  /** Name of the record set. */
  readonly recordSet: string;
  readonly config: RecordSetConfig;
  /** From createPostgresPool. Shared by the store's record sets; `close` leaves it open unless `closePool`. */
  readonly pool: pg.Pool;
  readonly closePool?: boolean;
  /** How long a census waits for transactions that began before it. Default 30 s. */
  readonly openTransactionWaitMs?: number;
  /** How long adding and dropping columns, and a fence, wait for the table's lock, with writers queueing behind. Default 5 s. */
  readonly lockTimeoutMs?: number;
  /** Most rows that one listing reads, stale or not. Default 20,000. */
  readonly scanRows?: number;
  readonly clock?: Clock;
}

/**
 * Envelopes in a PostgreSQL table (13 or later). Nothing of a rotation is kept in the table but the envelopes. An
 * index on (tenant column, key columns) lets a tenant's sweep read its own rows only; without one each sweep reads
 * the table once, `scanRows` at a time.
 */
export function createPostgresRecordStore(options: PostgresRecordStoreOptions): AdoptableStore {
  const { recordSet, config, pool } = options;
  const connection = new TableConnection(recordSet, config, pool);
  const { clock = systemClock } = options;
  const scanRows = options.scanRows ?? 20_000;
  const lockTimeoutMs = options.lockTimeoutMs ?? 5_000;
  const waitMs = options.openTransactionWaitMs ?? 30_000;
  const place = `Record set "${recordSet}", table "${config.table}"`;

  const cut = (scope: Scope | undefined, count: number) => {
    // Every sweep and census begins here: what has come to hide rows since the shape was read stops it.
    connection.forgetShape();
    return connection.run((shape) => findSegments(connection.db, shape, scope, count));
  };

  return {
    recordSet,
    fields: config.fields.map(({ name }) => name),

    check: () =>
      connection.guard(async () => {
        const { problems, hazards } = await connection.survey();
        connection.assertNone([...problems, ...hazards]);
      }),

    segments: (scope, count) => cut(scope, count),
    segmentsEverywhere: (count) => cut(undefined, count),

    listStale: (scope, active, segment, after, limit, until) =>
      connection.run((shape) => {
        const bounds = pageBounds(shape, segment, after, limit, until, scanRows);
        return queryPage(connection.db, stalePage(shape, scope, kidOf(scope.keyId, active), bounds), bounds);
      }),

    cursorAfter: (key) => formatCursor(key),

    read: (keys) => connection.run((shape) => readRecords(connection.db, shape, keys)),

    replace: (changes, notAfter) =>
      connection.run(async (shape) => {
        assertChanges(shape, changes);
        const inputs = (batch: readonly RecordChange[]) => envelopeInputs(shape, batch);
        return applyChanges(connection.db, shape, changes, changeBytes, inputs, notAfter);
      }),

    readFrames: (keys) => connection.run((shape) => readFrames(connection.db, shape, keys)),

    replaceFrames: (changes, notAfter) =>
      connection.run(async (shape) => {
        assertChanges(shape, changes);
        assertFrames(shape, changes);
        const inputs = (batch: readonly FrameChange[]) => frameInputs(shape, batch);
        return applyChanges(connection.db, shape, changes, frameBytes, inputs, notAfter);
      }),

    census: (scope, segment, reach) =>
      connection.guard(async () => {
        await awaitEarlierWriters(connection.db, place, waitMs, clock);
        return connection.transaction(BEGIN_CENSUS, (db, shape) =>
          countEnvelopes(db, shape, scope, parseSegment(segment, shape.keys), reach, place),
        );
      }),

    ...createAdoption(connection, { scanRows, lockTimeoutMs, clock }),
    ...createFencing(connection, { lockTimeoutMs, clock }),

    async close() {
      if (options.closePool === true) await pool.end();
    },
  };
}
