import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { createFieldCipher } from '../../shared/keyring/field-cipher.ts';
import type { Keyring } from '../../shared/keyring/keyring.ts';
import { city, FIELDS, PURPOSE, tenantName } from './records.ts';
import { matches, openRow, sealRow } from './sealed-row.ts';

/**
 * An application that uses Keyturn's library as its own would: it seals what it writes and opens what it reads,
 * with a caching keyring, and knows nothing of rotations. It remembers what it committed, so that every read is
 * checked.
 */
export interface Application {
  readonly reads: number;
  readonly writes: number;
  readonly mismatches: number;
  /** Codes or names of what went wrong, with how often. */
  readonly failures: ReadonlyMap<string, number>;
  /** Makes the records. */
  insert(signal?: AbortSignal): Promise<void>;
  /** Runs readers and writers until stop. */
  start(readers: number, writers: number): void;
  stop(): Promise<void>;
  /** Opens every value of every record and compares it with what was committed. */
  verify(signal?: AbortSignal): Promise<{ opened: number; mismatches: number }>;
}

export interface ApplicationOptions {
  readonly pool: pg.Pool;
  readonly keyring: Keyring;
  readonly records: number;
  readonly tenants: number;
  /** 0 to 1. */
  readonly random: () => number;
}

/** A record's writes: `begun` is the latest that was sent, `committed` the latest that was confirmed. */
interface Generation {
  begun: number;
  committed: number;
}

const INSERT_BATCH = 500;
/** An application does other things too, and shares two cores with the whole pipeline here. */
const PAUSE_MS = 2;

export function createApplication(options: ApplicationOptions): Application {
  const { pool, records, tenants, random } = options;
  const cipher = createFieldCipher({ keyring: options.keyring, purposes: () => PURPOSE });
  const generations: Generation[] = Array.from({ length: records }, () => ({ begun: 0, committed: 0 }));
  const busy = new Set<number>();
  const failures = new Map<string, number>();
  const counts = { reads: 0, writes: 0, mismatches: 0 };
  let running = false;
  let loops: Promise<void>[] = [];

  const fail = (error: unknown) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNKNOWN';
    failures.set(code, (failures.get(code) ?? 0) + 1);
  };

  async function read(id: number): Promise<void> {
    const generation = generationOf(generations, id);
    const earliest = generation.committed;
    const { rows } = await pool.query('SELECT email_enc, phone_enc, note_enc FROM clients WHERE id = $1', [
      id,
    ]);
    const values = await openRow(cipher, id, tenantOf(id, tenants), rows[0]);
    counts.reads += 1;
    if (!matchesAny(id, earliest, generation.begun, values)) counts.mismatches += 1;
  }

  async function write(id: number): Promise<void> {
    if (busy.has(id)) return;
    busy.add(id);
    try {
      const generation = generationOf(generations, id);
      generation.begun = generation.committed + 1;
      const sealed = await sealRow(cipher, id, tenantOf(id, tenants), generation.begun);
      await pool.query('UPDATE clients SET email_enc = $2, phone_enc = $3, note_enc = $4 WHERE id = $1', [
        id,
        ...sealed,
      ]);
      generation.committed = generation.begun;
      counts.writes += 1;
    } finally {
      busy.delete(id);
    }
  }

  async function loop(act: (id: number) => Promise<void>): Promise<void> {
    while (running) {
      await act(Math.floor(random() * records)).catch(fail);
      await sleep(PAUSE_MS);
    }
  }

  return {
    get reads() {
      return counts.reads;
    },
    get writes() {
      return counts.writes;
    },
    get mismatches() {
      return counts.mismatches;
    },
    failures,

    async insert(signal) {
      for (let from = 0; from < records; from += INSERT_BATCH) {
        signal?.throwIfAborted();
        const ids = Array.from({ length: Math.min(INSERT_BATCH, records - from) }, (_, i) => from + i);
        const sealed = await Promise.all(ids.map((id) => sealRow(cipher, id, tenantOf(id, tenants), 0)));
        await pool.query(
          `INSERT INTO clients SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])`,
          [
            ids,
            ids.map((id) => tenantOf(id, tenants)),
            ids.map(city),
            ...FIELDS.map((_, field) => sealed.map((row) => row[field])),
          ],
        );
      }
    },

    start(readers, writers) {
      running = true;
      loops = [
        ...Array.from({ length: readers }, () => loop(read)),
        ...Array.from({ length: writers }, () => loop(write)),
      ];
    },

    async stop() {
      running = false;
      await Promise.all(loops);
    },

    async verify(signal) {
      let opened = 0;
      let mismatches = 0;
      for (let from = 0; from < records; from += INSERT_BATCH) {
        signal?.throwIfAborted();
        const { rows } = await pool.query(
          'SELECT id, email_enc, phone_enc, note_enc FROM clients WHERE id >= $1 AND id < $2',
          [from, from + INSERT_BATCH],
        );
        const found = new Map<number, unknown>(rows.map((row) => [Number(row.id), row]));
        for (let id = from; id < Math.min(from + INSERT_BATCH, records); id++) {
          try {
            const values = await openRow(cipher, id, tenantOf(id, tenants), found.get(id));
            opened += values.length;
            const { committed, begun } = generationOf(generations, id);
            if (!matchesAny(id, committed, begun, values)) mismatches += 1;
          } catch (error) {
            fail(error);
            mismatches += 1;
          }
        }
      }
      return { opened, mismatches };
    },
  };
}

function tenantOf(id: number, tenants: number): string {
  return tenantName(id % tenants);
}

/** A write whose confirmation was not seen may or may not stand; every confirmed one must. */
function matchesAny(id: number, earliest: number, latest: number, values: readonly string[]): boolean {
  for (let g = earliest; g <= latest; g++) if (matches(id, g, values)) return true;
  return false;
}

function generationOf(generations: readonly Generation[], id: number): Generation {
  const found = generations[id];
  if (found === undefined) throw new RangeError(`No record ${id}`);
  return found;
}
