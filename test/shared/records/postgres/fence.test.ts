import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createPostgresPool } from '../../../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../../../shared/records/postgres/store.ts';
import type { RecordFence } from '../../../../shared/records/record-store.ts';
import { envelope, KEY_ID, OTHER_KEY_ID } from '../../../contracts/record-store.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';
import {
  COMPOUND_KEY,
  FIXED_TENANT,
  INT_KEY,
  makeFixture,
  recordSetConfig,
} from '../../../support/postgres-records.ts';

/** The writers' fence on a server: what it refuses, what it lets through, and what it looks like when it is broken. */

let postgres: TestPostgres;
let fixture: Awaited<ReturnType<typeof makeFixture>>;
let fence: RecordFence;

beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

const query = (text: string, values: readonly unknown[] = []) => postgres.admin.query(text, [...values]);
const refused = { code: 'KT001' };

/** `version` is the lowest that is taken from now on. */
const raise = (version: number, revision = version, keyId = KEY_ID) =>
  fixture.store.setMinimum({ keyId, version, revision });

async function open(
  tableCase: typeof INT_KEY,
  options: Parameters<typeof makeFixture>[2] = {},
): Promise<void> {
  fixture = await makeFixture(postgres, tableCase, options);
  if (fixture.store.fence === null) throw new Error('PostgreSQL offers a fence');
  fence = fixture.store.fence;
}

async function close(): Promise<void> {
  await fixture.close();
  await query('DROP SCHEMA IF EXISTS keyturn_fence CASCADE');
}

describe('a fence of PostgreSQL', () => {
  const insert = (id: number, value: Uint8Array | null) =>
    query(`INSERT INTO ${fixture.table} (id, tenant, secret) VALUES ($1, 'acme', $2)`, [
      id,
      value && Buffer.from(value),
    ]);
  const update = (id: number, value: Uint8Array | null) =>
    query(`UPDATE ${fixture.table} SET secret = $2 WHERE id = $1`, [id, value && Buffer.from(value)]);

  /** Read by the server itself, as a restore's rows are. */
  const copyOf = (id: number, value: Uint8Array) => {
    const line = `${id},acme,\\x${Buffer.from(value).toString('hex')}`;
    return `COPY ${fixture.table} (id, tenant, secret) FROM PROGRAM 'printf ''%s\\n'' ''${line}''' (FORMAT csv)`;
  };

  beforeEach(() => open(INT_KEY));
  afterEach(close);

  it('is not there before it is installed, and a minimum is nothing to a database without one', async () => {
    expect(await fence.check()).toEqual({ installed: false, problems: [] });
    expect(await raise(2)).toBeNull();
    expect(await fence.minimums([KEY_ID])).toEqual(new Map());
    expect(await fence.isThere()).toBe(false);
    expect(await fence.remove()).toBe(false);
    await insert(1, envelope(1));
  });

  it('is installed once, and says so', async () => {
    expect(await fence.install()).toBe(true);
    expect(await fence.install()).toBe(false);
    expect(await fence.check()).toEqual({ installed: true, problems: [] });
    expect(await fence.statements()).toEqual([]);
  });

  it('refuses a version below the minimum of its key, by INSERT, UPDATE, COPY and MERGE alike', async () => {
    await fence.install();
    await insert(1, envelope(1));
    expect(await raise(2)).not.toBeNull();
    await expect(insert(2, envelope(1))).rejects.toMatchObject(refused);
    await expect(update(1, envelope(1))).rejects.toMatchObject(refused);
    const old = Buffer.from(envelope(1)).toString('hex');
    await expect(
      query(`MERGE INTO ${fixture.table} AS t USING (VALUES (3)) AS v(id) ON t.id = v.id
        WHEN NOT MATCHED THEN INSERT (id, tenant, secret) VALUES (v.id, 'acme', '\\x${old}')`),
    ).rejects.toMatchObject(refused);
    // COPY FROM reads on the server, as a restore does.
    const copy = copyOf(4, envelope(1));
    await expect(query(copy)).rejects.toMatchObject(refused);
    expect((await fixture.rows()).map(({ key }) => key)).toEqual([['1']]);
  });

  it('lets the active version through, a later one, other keys, what is no envelope, and NULL', async () => {
    await fence.install();
    await raise(2);
    await insert(1, envelope(2));
    await insert(2, envelope(7));
    await insert(3, envelope(1, OTHER_KEY_ID));
    await insert(4, Buffer.from('no envelope at all, but long enough to be taken for one: '.repeat(4)));
    await insert(5, Buffer.from('tiny'));
    await insert(6, Buffer.alloc(0));
    await insert(7, null);
    await update(1, envelope(2));
    await update(7, envelope(3));
    await query(copyOf(8, envelope(2)));
    expect(await fixture.rows()).toHaveLength(8);
  });

  it('lets a row with an old envelope be changed elsewhere, also by who writes every column back', async () => {
    await fence.install();
    const old = envelope(1);
    await insert(1, old);
    await raise(2);
    await query(`UPDATE ${fixture.table} SET tenant = 'other' WHERE id = 1`);
    await query(`UPDATE ${fixture.table} SET tenant = 'acme', secret = $1 WHERE id = 1`, [Buffer.from(old)]);
    // What it read before the sweep, written back after it.
    await update(1, envelope(2));
    await expect(update(1, old)).rejects.toMatchObject(refused);
  });

  it('lets the worker move a record from an old version to the active one', async () => {
    await fence.install();
    const before = envelope(1);
    await insert(1, before);
    await raise(2);
    const change = {
      key: ['1'],
      tenant: 'acme',
      changes: [{ field: 0, before, after: envelope(2) }],
    };
    expect(await fixture.store.replace([change])).toEqual(['replaced']);
    // A worker that was frozen since the rotation before.
    const late = {
      ...change,
      changes: [{ field: 0, before: change.changes[0]?.after ?? before, after: before }],
    };
    await expect(fixture.store.replace([late])).rejects.toMatchObject({
      code: 'STORE_FENCED',
      retryable: true,
    });
  });

  it('names table, column and versions, and no value', async () => {
    await fence.install();
    await raise(5);
    const error: unknown = await insert(1, envelope(3)).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      code: 'KT001',
      message: `keyturn: table ${fixture.table}, column secret: an envelope of version 3 is refused, the minimum version of its key is 5`,
      column: 'secret',
      detail: undefined,
    });
  });

  it('is seen by a transaction that was open when the minimum was raised', async () => {
    await fence.install();
    const writer = await postgres.admin.connect();
    try {
      await writer.query('BEGIN');
      await writer.query(`INSERT INTO ${fixture.table} VALUES (1, 'acme', $1)`, [Buffer.from(envelope(1))]);
      await raise(2);
      await expect(
        writer.query(`INSERT INTO ${fixture.table} VALUES (2, 'acme', $1)`, [Buffer.from(envelope(1))]),
      ).rejects.toMatchObject(refused);
      await writer.query('ROLLBACK');
    } finally {
      writer.release();
    }
  });

  it('makes a census wait for who read an older minimum', async () => {
    await fixture.close();
    await open(INT_KEY, { openTransactionWaitMs: 50 });
    await fence.install();
    await insert(1, envelope(2));
    const [segment = ''] = await fixture.store.segments({ tenant: 'acme', keyId: KEY_ID }, 1);
    const count = () => fixture.store.census({ tenant: 'acme', keyId: KEY_ID }, segment, 'tenant');
    const writer = await postgres.admin.connect();
    try {
      await writer.query('BEGIN');
      // The trigger ran, and nothing was written by it.
      await writer.query(`INSERT INTO ${fixture.table} VALUES (1, 'acme', $1) ON CONFLICT DO NOTHING`, [
        Buffer.from(envelope(1)),
      ]);
      await raise(2);
      await expect(count()).rejects.toMatchObject({ code: 'STORE_OPEN_TRANSACTIONS' });
      await writer.query('COMMIT');
    } finally {
      writer.release();
    }
    expect(await count()).toMatchObject({ versions: { 2: 1 } });
  });

  it('and a census leave no old envelope uncounted, however writers and the raise interleave', async () => {
    await fence.install();
    const scope = { tenant: 'acme', keyId: KEY_ID };
    const [segment = ''] = await fixture.store.segments(scope, 1);
    for (let round = 0; round < 20; round++) {
      const version = round + 1;
      let stop = false;
      let accepted = 0;
      let refusals = 0;
      const write = async (lane: number) => {
        for (let n = 0; !stop; n++) {
          const id = round * 1_000_000 + lane * 100_000 + n;
          await insert(id, envelope(version)).then(
            () => {
              accepted += 1;
            },
            (error: unknown) => {
              expect(error).toMatchObject(refused);
              refusals += 1;
            },
          );
        }
      };
      const writers = [write(1), write(2), write(3)];
      await expect.poll(() => accepted, { interval: 5, timeout: 60_000 }).toBeGreaterThan(0);
      await raise(version + 1);
      const counted = (await fixture.store.census(scope, segment, 'tenant')).versions[String(version)] ?? 0;
      await expect.poll(() => refusals, { interval: 5, timeout: 60_000 }).toBeGreaterThan(0);
      stop = true;
      await Promise.all(writers);
      expect(counted).toBe(accepted);
    }
  });

  it('takes the word of a later revision of the key, and of one revision the lower word', async () => {
    await fence.install();
    const minimum = async () => (await fence.minimums([KEY_ID, OTHER_KEY_ID])).get(KEY_ID);
    await raise(3, 10);
    // A step that was overtaken.
    await raise(5, 9);
    expect(await minimum()).toBe(3);
    await raise(2, 10);
    await raise(3, 10);
    expect(await minimum()).toBe(2);
    await raise(4, 11);
    expect(await minimum()).toBe(4);
    await raise(1, 12);
    expect(await minimum()).toBe(1);
    expect((await fence.minimums([OTHER_KEY_ID])).size).toBe(0);
    await insert(1, envelope(1));
  });

  it('says since when its minimum is what it was told, and null to who was overtaken', async () => {
    await fence.install();
    const raised = await raise(2, 10);
    expect(raised).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(await raise(2, 10)).toBe(raised);
    expect(await raise(2, 11)).toBe(raised);
    // Of an earlier revision, though it says the same; of the same one, a higher word.
    expect(await raise(2, 10)).toBeNull();
    expect(await raise(3, 11)).toBeNull();
    const lowered = await raise(1, 11);
    const again = await raise(2, 12);
    expect(new Set([raised, lowered, again]).size).toBe(3);
    await query('DELETE FROM keyturn_fence.minimum_version');
    expect(await raise(2, 12)).not.toBe(again);
  });

  it('takes versions up to the greatest', async () => {
    await fence.install();
    await raise(0xffff_ffff);
    await expect(insert(1, envelope(0xffff_fffe))).rejects.toMatchObject(refused);
    await insert(1, envelope(0xffff_ffff));
  });

  it.each([
    ['is disabled', 'ALTER TABLE %T DISABLE TRIGGER USER', /^the trigger is disabled on /],
    [
      'fires for replicas only',
      'ALTER TABLE %T ENABLE REPLICA TRIGGER zz_keyturn_fence_people',
      /replicas only/,
    ],
    [
      'watches fewer columns or events',
      `DROP TRIGGER zz_keyturn_fence_people ON %T;
       CREATE TRIGGER zz_keyturn_fence_people BEFORE INSERT ON %T FOR EACH ROW EXECUTE FUNCTION keyturn_fence.fence_people()`,
      /^the trigger is not the one/,
    ],
    [
      'has a condition',
      `DROP TRIGGER zz_keyturn_fence_people ON %T;
       CREATE TRIGGER zz_keyturn_fence_people BEFORE INSERT OR UPDATE OF secret ON %T FOR EACH ROW
       WHEN (NEW.tenant = 'x') EXECUTE FUNCTION keyturn_fence.fence_people()`,
      /^the trigger is not the one/,
    ],
    [
      'has another function',
      `CREATE OR REPLACE FUNCTION keyturn_fence.fence_people() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
      /^the function of its trigger is not/,
    ],
    [
      'runs as its owner',
      'ALTER FUNCTION keyturn_fence.fence_people() SECURITY DEFINER',
      /^the function of its trigger is not/,
    ],
    ['has no minimums', 'DROP TABLE keyturn_fence.minimum_version', /every write fails/],
  ])('that %s is found, and mended by another installation', async (_, broken, message) => {
    await fence.install();
    await query(broken.replaceAll('%T', fixture.table));
    const state = await fence.check();
    expect(state.installed).toBe(true);
    expect(state.problems).toEqual([expect.stringMatching(message)]);
    expect(await fence.install()).toBe(true);
    expect(await fence.check()).toEqual({ installed: true, problems: [] });
    await raise(2);
    await expect(insert(1, envelope(1))).rejects.toMatchObject(refused);
  });

  it('is found idle where sessions count as replicas', async () => {
    await fence.install();
    await query('ALTER DATABASE app SET session_replication_role = replica');
    try {
      const { problems } = await fence.check();
      expect(problems).toContain(
        'the database sets session_replication_role to replica, in which no trigger fires',
      );
    } finally {
      await query('ALTER DATABASE app RESET session_replication_role');
    }
  });

  it('leaves nothing behind when it is removed, and keeps what another one needs', async () => {
    const config = recordSetConfig(fixture.table, INT_KEY);
    const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, postgres.url, { store: 'main' });
    const other = createPostgresRecordStore({ recordSet: 'other', config, pool, closePool: true });
    try {
      await fence.install();
      await other.fence?.install();
      await raise(2);
      expect(await fence.remove()).toBe(true);
      await expect(insert(1, envelope(1))).rejects.toMatchObject(refused);
      expect(await other.fence?.check()).toEqual({ installed: true, problems: [] });
      expect([await fence.isThere(), await other.fence?.isThere()]).toEqual([false, true]);
      expect(await other.fence?.remove()).toBe(true);
      expect(await other.fence?.isThere()).toBe(false);
      expect(await other.fence?.remove()).toBe(false);
    } finally {
      await other.close();
    }
    await insert(1, envelope(1));
    const left = await query(`SELECT 'schema' FROM pg_namespace WHERE nspname = 'keyturn_fence'
      UNION ALL SELECT 'trigger' FROM pg_trigger WHERE tgname LIKE '%keyturn%'`);
    expect(left.rows).toEqual([]);
  });

  it('leaves what somebody else keeps in its schema', async () => {
    await fence.install();
    await query('CREATE TABLE keyturn_fence.mine (id int)');
    expect(await fence.remove()).toBe(true);
    expect((await query('SELECT * FROM keyturn_fence.mine')).rows).toEqual([]);
    expect(await fence.isThere()).toBe(false);
  });

  it('goes with its table, and what is left of it can be removed', async () => {
    await fence.install();
    await query(`DROP TABLE ${fixture.table}`);
    expect(await fence.isThere()).toBe(true);
    expect(await fence.remove()).toBe(true);
    expect((await query("SELECT 1 FROM pg_namespace WHERE nspname = 'keyturn_fence'")).rows).toEqual([]);
  });

  it('is installed by two at once', async () => {
    expect(await Promise.all([fence.install(), fence.install(), fence.install()])).toContain(true);
    expect(await fence.check()).toEqual({ installed: true, problems: [] });
  });

  it('does not wait long for a table that a transaction holds, and changes nothing then', async () => {
    await fixture.close();
    await open(INT_KEY, { lockTimeoutMs: 400 });
    const holder = await postgres.admin.connect();
    try {
      await holder.query('BEGIN');
      await holder.query(`LOCK TABLE ${fixture.table} IN ROW EXCLUSIVE MODE`);
      const installing = fence.install();
      // The application's own writes go on meanwhile.
      await insert(1, envelope(1));
      await expect(installing).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true });
      expect(await fence.check()).toEqual({ installed: false, problems: [] });
      expect((await query("SELECT 1 FROM pg_namespace WHERE nspname = 'keyturn_fence'")).rows).toEqual([]);
    } finally {
      await holder.query('ROLLBACK');
      holder.release();
    }
    expect(await fence.install()).toBe(true);
  });

  it('is refused on a view, with the reason', async () => {
    const schema = fixture.table.split('.')[0];
    await query(`CREATE VIEW ${schema}.shown AS SELECT * FROM ${fixture.table}`);
    const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, postgres.url, { store: 'main' });
    const config = recordSetConfig(`${schema}.shown`, INT_KEY);
    const view = createPostgresRecordStore({ recordSet: 'shown', config, pool, closePool: true });
    try {
      await expect(view.fence?.install()).rejects.toMatchObject({
        code: 'TABLE_NOT_FOUND',
        message: expect.stringContaining('is a view, not a table'),
      });
    } finally {
      await view.close();
    }
  });

  describe('and roles', () => {
    let application: Awaited<ReturnType<typeof asRole>>;

    async function asRole(role: string) {
      const url = new URL(postgres.url);
      url.username = role;
      url.password = 'pw';
      const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, url.href, { store: 'main' });
      const config = recordSetConfig(fixture.table, INT_KEY);
      const store = createPostgresRecordStore({ recordSet: 'people', config, pool, closePool: true });
      return { pool, store };
    }

    beforeEach(async () => {
      const schema = fixture.table.split('.')[0];
      await query("CREATE ROLE app LOGIN PASSWORD 'pw'");
      await query(
        `GRANT USAGE ON SCHEMA ${schema} TO app; GRANT SELECT, INSERT, UPDATE ON ${fixture.table} TO app`,
      );
      application = await asRole('app');
    });
    afterEach(async () => {
      await application.store.close();
      await query('DROP OWNED BY app');
      await query('DROP ROLE app');
    });

    it("an application's role is held by it, reads the minimums and cannot change them", async () => {
      await fence.install();
      await raise(2);
      const write = (version: number) =>
        application.pool.query(`INSERT INTO ${fixture.table} VALUES ($1, 'acme', $2)`, [
          version,
          Buffer.from(envelope(version)),
        ]);
      await expect(write(1)).rejects.toMatchObject(refused);
      await write(2);
      for (const text of [
        'UPDATE keyturn_fence.minimum_version SET minimum = 1',
        'DELETE FROM keyturn_fence.minimum_version',
        `ALTER TABLE ${fixture.table} DISABLE TRIGGER USER`,
        `DROP TRIGGER zz_keyturn_fence_people ON ${fixture.table}`,
        'SET session_replication_role = replica',
      ]) {
        await expect(application.pool.query(text), text).rejects.toMatchObject({ code: '42501' });
      }
      // Names of its own in front of the system's change nothing.
      await application.pool.query(`BEGIN; CREATE TEMP TABLE minimum_version (key_id bytea, minimum int8);
        SET LOCAL search_path = pg_temp, keyturn_fence, public`);
      await expect(write(1)).rejects.toMatchObject(refused);
      await application.pool.query('ROLLBACK');
    });

    it('one that may not install it is told what the owner has to run, and can then raise', async () => {
      const own = application.store.fence;
      await expect(own?.install()).rejects.toMatchObject({
        code: 'STORE_DENIED',
        remedy: expect.stringContaining('keyturn fence install --record-set people --sql'),
      });
      const statements = (await own?.statements()) ?? [];
      for (const text of statements) await query(text);
      expect(await own?.check()).toEqual({ installed: true, problems: [] });
      expect(await application.store.setMinimum({ keyId: KEY_ID, version: 2, revision: 1 })).not.toBeNull();
      await expect(insert(1, envelope(1))).rejects.toMatchObject(refused);
      await expect(own?.remove()).rejects.toMatchObject({ code: 'STORE_DENIED' });
    });

    it('one that may not raise is named', async () => {
      await fence.install();
      const { problems } = (await application.store.fence?.check()) ?? { problems: [] };
      expect(problems).toEqual(['the role app may not INSERT and UPDATE keyturn_fence.minimum_version']);
      await expect(
        application.store.setMinimum({ keyId: KEY_ID, version: 2, revision: 1 }),
      ).rejects.toMatchObject({ code: 'STORE_DENIED' });
    });
  });
});

describe('a fence on text columns with odd names, several of them', () => {
  beforeEach(() => open(COMPOUND_KEY));
  afterEach(close);

  const text = (version: number, plaintext = 'some plaintext') =>
    Buffer.from(envelope(version, KEY_ID, plaintext)).toString('base64url');

  it('reads each field, whatever its length', async () => {
    await fence.install();
    expect(await fence.check()).toEqual({ installed: true, problems: [] });
    await raise(2);
    const columns = ['first field', 'second', 'Drittes Ü'];
    const insert = (n: number, values: readonly (string | null)[]) => {
      const [region, no] = fixture.keyOf(n);
      return query(
        `INSERT INTO ${fixture.table} ("Region", "no", "Ten""ant", "first field", second, "Drittes Ü") VALUES ($1, $2, 7, $3, $4, $5)`,
        [region, no, ...values],
      );
    };
    for (const [f, column] of columns.entries()) {
      for (const length of [0, 1, 2, 3, 300]) {
        const values = columns.map((_, i) => (i === f ? text(1, 'x'.repeat(length)) : text(2)));
        await expect(insert(1, values), `${column} ${length}`).rejects.toMatchObject({
          ...refused,
          column,
        });
      }
    }
    await insert(1, [text(2), null, text(3)]);
    // Not the text that the pipeline writes, and so no envelope: the census calls it malformed.
    await insert(2, [`${text(1)}=`, 'short', 'ü'.repeat(200)]);
  });
});

describe('a fence on a partitioned table', () => {
  beforeEach(() => open(FIXED_TENANT));
  afterEach(close);

  it('holds on every partition, also on one that comes later, and says where it does not', async () => {
    await fence.install();
    await raise(2);
    const insert = (id: number, version: number, where = fixture.table) =>
      query(`INSERT INTO ${where} (id, code, b) VALUES ($1, 'c', $2)`, [id, Buffer.from(envelope(version))]);
    await expect(insert(1, 1)).rejects.toMatchObject(refused);
    await expect(insert(50_000, 1)).rejects.toMatchObject(refused);
    await expect(insert(1, 1, `${fixture.table}_1`)).rejects.toMatchObject(refused);
    await insert(1, 2);
    await query(`ALTER TABLE ${fixture.table} DETACH PARTITION ${fixture.table}_2`);
    await insert(70_000, 1, `${fixture.table}_2`);
    await query(
      `ALTER TABLE ${fixture.table} ATTACH PARTITION ${fixture.table}_2 FOR VALUES FROM (40000) TO (MAXVALUE)`,
    );
    await expect(insert(50_000, 1)).rejects.toMatchObject(refused);
    expect((await fence.check()).problems).toEqual([]);
    await query(`ALTER TABLE ${fixture.table}_2 DISABLE TRIGGER zz_keyturn_fence_people`);
    expect((await fence.check()).problems).toEqual([`the trigger is disabled on ${fixture.table}_2`]);
    await insert(60_000, 1);
    expect(await fence.install()).toBe(true);
    await expect(insert(60_001, 1)).rejects.toMatchObject(refused);
    expect(await fence.remove()).toBe(true);
    await insert(60_001, 1);
  });
});
