import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { inLanes } from '../../shared/concurrency/in-lanes.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import { createFieldCipher } from '../../shared/keyring/field-cipher.ts';
import type { Keyring } from '../../shared/keyring/keyring.ts';
import { translate } from '../../shared/records/postgres/failures.ts';
import type { Dice } from '../../simulation/dice.ts';
import { city, PURPOSE, RECORD_SET, tenantName } from '../demo/records.ts';
import { matches, openRow, sealRow } from '../demo/sealed-row.ts';
import { type Journal, judge } from './journal.ts';

/**
 * An application on the fields, that goes on while everything around it breaks. It caches keys over restarts, holds what it
 * has sealed for a while, and remembers what it was told of each write.
 */

export const CREATE_TABLE = `
  CREATE TABLE clients (
    id bigint PRIMARY KEY,
    practice text NOT NULL,
    city text NOT NULL,
    generation int NOT NULL,
    email_enc bytea,
    phone_enc bytea,
    note_enc bytea
  ) WITH (fillfactor = 50)`;

/** A write that was cut off may still be under way in the server: it must not undo a later one. */
const UPDATE = `
  UPDATE clients SET generation = $2, email_enc = $3, phone_enc = $4, note_enc = $5
  WHERE id = $1 AND generation < $2`;
const INSERT = `
  INSERT INTO clients VALUES ($1, $6, $7, $2, $3, $4, $5)
  ON CONFLICT (id) DO UPDATE SET generation = EXCLUDED.generation, email_enc = EXCLUDED.email_enc,
    phone_enc = EXCLUDED.phone_enc, note_enc = EXCLUDED.note_enc
  WHERE clients.generation < EXCLUDED.generation`;
const SELECT = 'SELECT generation, email_enc, phone_enc, note_enc FROM clients WHERE id = $1';

export interface Application {
  readonly counts: ApplicationCounts;
  /** Makes the records. */
  fill(): Promise<void>;
  start(): void;
  /** Resolves when nothing of it is under way any more. */
  pause(): Promise<void>;
  /** To the database, where it is now. */
  connect(url: string): void;
  close(): Promise<void>;
}

export interface ApplicationCounts {
  readonly writes: number;
  readonly reads: number;
  /** Writes of which no word came back. */
  readonly inDoubt: number;
  /** What an outage refused: by the error's code. */
  readonly refused: ReadonlyMap<string, number>;
}

export interface ApplicationOptions {
  readonly keyring: Keyring;
  readonly journal: Journal;
  readonly dice: Dice;
  readonly tenants: number;
  /** So many records from the start; more are added by and by. */
  readonly records: number;
  /** Longest time between sealing and writing: what `maxTransactionSeconds` promises. */
  readonly longestMs: number;
  readonly onViolation: (what: string) => void;
}

const WRITERS = 2;
const READERS = 1;
const LANES = 4;
/** An application does other things too, and shares its processors with the whole stack here. */
const PAUSE_MS = 10;
/** While the database is away. */
const OUTAGE_PAUSE_MS = 80;
/** Of writes, make a new record. */
const NEW = 0.02;
/**
 * Half of what is read and written are these few records, which a sweep lists first: so that an application writes between
 * a worker's read and its write again and again, while it still has the old version cached.
 */
const HOT = 12;
/** Of writes, hold for a while what they have sealed. */
const SLOW = 0.05;

export function tenantOf(id: number, tenants: number): string {
  return tenantName(id % tenants);
}

export function createApplication(options: ApplicationOptions): Application {
  const { journal, dice, tenants, longestMs, onViolation } = options;
  const cipher = createFieldCipher({ keyring: options.keyring, purposes: () => PURPOSE });
  const counts = { writes: 0, reads: 0, inDoubt: 0, refused: new Map<string, number>() };
  const busy = new Set<number>();
  let pool: pg.Pool | null = null;
  let poolUrl = '';
  const former: pg.Pool[] = [];
  let records = options.records;
  let running = false;
  let loops: Promise<void>[] = [];

  function connection(): pg.Pool {
    if (pool === null) throw new Error('There is no database yet');
    return pool;
  }

  async function write(id: number): Promise<void> {
    if (busy.has(id)) return;
    busy.add(id);
    let client: pg.PoolClient | null = null;
    let sent = false;
    let confirmed = false;
    try {
      client = await connection().connect();
      const generation = journal.next(id);
      const began = performance.now();
      const sealed = await sealRow(cipher, id, tenantOf(id, tenants), generation);
      if (running && dice.chance(SLOW)) await sleep(dice.below(longestMs));
      // A writer that was held up must not write what it sealed: it begins anew.
      if (performance.now() - began > longestMs) return;
      const isNew = journal.bounds(id).earliest < 0;
      const more = isNew ? [tenantOf(id, tenants), city(id)] : [];
      journal.begin(id, generation);
      sent = true;
      const { rowCount } = await client.query(isNew ? INSERT : UPDATE, [id, generation, ...sealed, ...more]);
      confirmed = true;
      if (rowCount !== 1) onViolation(`record ${id} is gone: its write ${generation} found no row`);
      else journal.stands(id, generation);
      counts.writes += 1;
    } finally {
      busy.delete(id);
      if (sent && !confirmed) counts.inDoubt += 1;
      client?.release(sent && !confirmed);
    }
  }

  async function read(id: number): Promise<void> {
    const { earliest } = journal.bounds(id);
    const { rows } = await connection().query(SELECT, [id]);
    const { latest } = journal.bounds(id);
    const generation = rows[0]?.generation;
    const values = rows.length === 0 ? [] : await openRow(cipher, id, tenantOf(id, tenants), rows[0]);
    const found = rows.length === 0 ? null : { generation, opensToIt: matches(id, generation, values) };
    const problem = judge({ earliest, latest }, found);
    if (problem !== null) onViolation(`record ${id} ${problem} (a reader)`);
    else if (found !== null) journal.stands(id, generation);
    counts.reads += 1;
  }

  async function act(what: 'read' | 'write'): Promise<void> {
    const isNew = what === 'write' && dice.chance(NEW);
    const id = isNew ? records++ : dice.below(dice.chance(0.5) ? HOT : records);
    try {
      await (what === 'read' ? read(id) : write(id));
    } catch (error) {
      const { code, passing } = describe(error);
      counts.refused.set(code, (counts.refused.get(code) ?? 0) + 1);
      if (!passing) onViolation(`record ${id}: a ${what} failed for good with ${code}`);
      await sleep(OUTAGE_PAUSE_MS);
    }
  }

  async function loop(what: 'read' | 'write'): Promise<void> {
    while (running) {
      await act(what);
      await sleep(PAUSE_MS);
    }
  }

  return {
    counts,
    connect(url) {
      if (url === poolUrl) return;
      if (pool !== null) former.push(pool);
      poolUrl = url;
      pool = createPool(url);
    },
    async fill() {
      await inLanes(
        Array.from({ length: records }, (_, id) => id),
        LANES,
        write,
      );
    },
    start() {
      running = true;
      loops = [
        ...Array.from({ length: WRITERS }, () => loop('write')),
        ...Array.from({ length: READERS }, () => loop('read')),
      ];
    },
    async pause() {
      running = false;
      await Promise.all(loops);
    },
    async close() {
      running = false;
      await Promise.all(loops);
      const pools = [...former.splice(0), pool];
      pool = null;
      await Promise.all(pools.map((each) => each?.end()));
    },
  };
}

/** Whether an application may meet with that while something is broken. A value that does not open is never of that kind. */
export function describe(error: unknown): { readonly code: string; readonly passing: boolean } {
  const known = translate(error, { recordSet: RECORD_SET, table: 'clients' });
  if (known instanceof KeyturnError) return { code: known.code, passing: known.retryable };
  return { code: known instanceof Error ? `${known.name}: ${known.message}` : 'UNKNOWN', passing: false };
}

export function createPool(url: string): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: 6,
    connectionTimeoutMillis: 2_000,
    statement_timeout: 5_000,
    query_timeout: 6_000,
  });
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
