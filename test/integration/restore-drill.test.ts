import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EmbeddedPostgres, startPostgres } from '../../local/postgres.ts';
import { startStack } from '../../local/stack.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { silentLog } from '../../shared/log/log.ts';
import { beginRestore } from '../../shared/rotation/begin-restore.ts';
import { endRestore } from '../../shared/rotation/end-restore.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { createPeople, emailOf, PEOPLE, PEOPLE_SET, type People, TENANT } from '../support/people.ts';
import { createTestPool } from '../support/postgres.ts';
import {
  DATABASE,
  eventually,
  jobEnded,
  makeStackFolder,
  startTestStack,
  type TestStack,
} from '../support/stack.ts';
import { dump, findSystemPostgres, restore } from '../support/system-postgres.ts';

/**
 * The drill: a backup is restored in the middle of the purge of its version. The purge is called off, every record
 * decrypts at every step, and the version goes once the restored records are swept; after that the backup is refused.
 */

const COUNT = 200;
const KEY = { tenant: TENANT, purpose: 'default', requestedBy: 'test' };
/** Long enough for the restore to begin in it. */
const ROTATION = { chunkSize: 50, soakSeconds: 4, graceSeconds: 1, backupRetentionSeconds: 2 };
const HOUR = 3600;

interface Drill {
  readonly stack: Pick<TestStack, 'deps' | 'pool'>;
  /** The restore brings the rows back, and nothing else. */
  readonly keepsFence: boolean;
  takeBackup(): Promise<void>;
  restoreBackup(): Promise<void>;
}

async function versionsOf({ pool }: Drill['stack']): Promise<Record<string, number>> {
  const { rows } = await pool.query(
    `SELECT get_byte(email_enc, length(email_enc) - 43) AS version, count(*)::int FROM people GROUP BY 1 ORDER BY 1`,
  );
  return Object.fromEntries(rows.map(({ version, count }) => [version, count]));
}

async function expectReadable(people: People, texts: ReadonlyMap<number, string>): Promise<void> {
  for (let id = 1; id <= COUNT; id++) expect(await people.open(id)).toBe(texts.get(id) ?? emailOf(id));
}

/** Until nothing keeps the version any more: its grace, its backups. */
function purgeDue({ deps }: Drill['stack']): Promise<Job> {
  return eventually(
    () =>
      requestPurge(deps, { ...KEY, version: 1 }).then(
        ({ job }) => job,
        () => null,
      ),
    'a purge that is due',
  );
}

async function stateOf({ deps }: Drill['stack'], version: number) {
  return (await deps.ledger.getKey(TENANT, 'default'))?.versions[String(version)]?.state;
}

async function run(drill: Drill): Promise<void> {
  const { stack } = drill;
  const { deps } = stack;
  const people = await createPeople(stack, COUNT);
  const backupTime = new Date().toISOString();
  await drill.takeBackup();
  // As strict as it gets: the database itself takes nothing below the minimum version.
  const records = deps.recordSets.store(PEOPLE);
  await records.fence?.install();
  const minimum = async () => {
    const keyId = (await deps.ledger.getKey(TENANT, 'default'))?.keyId ?? '';
    return (await records.fence?.minimums([keyId]))?.get(keyId);
  };

  const rotation = await requestRotation(deps, KEY);
  expect((await jobEnded(stack, rotation.job.jobId)).status).toBe('COMPLETED');
  expect(await versionsOf(stack)).toEqual({ '2': COUNT });
  expect(await minimum()).toBe(2);
  await people.write(7, 'written after the backup');
  await expectReadable(people, new Map([[7, 'written after the backup']]));

  // Its purge waits, fenced: the rehearsal.
  const purge = await purgeDue(stack);
  await eventually(async () => (await stateOf(stack, 1)) === 'DESTROY_PENDING', 'the fence');
  const { restore: registered } = await beginRestore(deps, {
    store: 'main',
    backupTime,
    requestedBy: 'test',
  });
  expect(registered).toMatchObject({ status: 'READY', keys: 1 });
  expect(await stateOf(stack, 1)).toBe('RETIRING');
  expect(await minimum()).toBe(1);

  await drill.restoreBackup();
  expect(await versionsOf(stack)).toEqual({ '1': COUNT });
  await expectReadable(people, new Map());
  expect(await jobEnded(stack, purge.jobId)).toMatchObject({ status: 'BLOCKED' });
  await expect(requestPurge(deps, { ...KEY, version: 1 })).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
  // An application goes on meanwhile.
  await people.write(9, 'written after the restore');
  const texts = new Map([[9, 'written after the restore']]);

  const { restore: ended, keys } = await endRestore(deps, registered.restoreId, 'test');
  expect(ended.status).toBe('ENDED');
  expect(keys).toMatchObject([{ unknown: [], destroyed: [], count: { versions: { '1': COUNT - 1 } } }]);
  expect((await jobEnded(stack, keys[0]?.jobId ?? '')).status).toBe('COMPLETED');
  expect(await versionsOf(stack)).toEqual({ '2': COUNT });
  await expectReadable(people, texts);
  if (drill.keepsFence) expect(await minimum()).toBe(2);

  const again = await purgeDue(stack);
  expect(await jobEnded(stack, again.jobId)).toMatchObject({ status: 'COMPLETED', blocker: null });
  expect(await stateOf(stack, 1)).toBe('DESTROYED');
  deps.keyring.clear();
  await expectReadable(people, texts);

  const before = await deps.ledger.getKey(TENANT, 'default');
  await expect(beginRestore(deps, { store: 'main', backupTime, requestedBy: 'test' })).rejects.toMatchObject({
    code: 'RESTORE_REFUSED',
    message: expect.stringContaining(TENANT),
  });
  expect(await deps.ledger.getKey(TENANT, 'default')).toEqual(before);
  expect(await deps.ledger.listRestores()).toHaveLength(1);
}

describe('a restore drill', () => {
  describe('with COPY on the embedded PostgreSQL', () => {
    let stack: TestStack;
    beforeAll(async () => {
      stack = await startTestStack({ recordSets: PEOPLE_SET, rotation: ROTATION }, { sweepSeconds: HOUR });
    });
    afterAll(() => stack.remove());

    it('loses no record, and destroys the version in the end', async () => {
      const { rows } = await stack.pool.query(`SHOW data_directory`);
      const file = pg.escapeLiteral(join(rows[0].data_directory, 'people.copy'));
      await run({
        stack,
        keepsFence: true,
        takeBackup: async () => void (await stack.pool.query(`COPY people TO ${file}`)),
        restoreBackup: async () =>
          void (await stack.pool.query(`BEGIN; TRUNCATE people; COPY people FROM ${file}; COMMIT`)),
      });
    });
  });

  const system = findSystemPostgres();
  if (system === null) {
    // CI installs it: see .ci/run.
    if (process.env['CI'] === 'true') throw new Error('PostgreSQL with pg_dump is not installed');
    it.skip('with pg_dump: no PostgreSQL is installed on this machine (Debian: apt-get install postgresql)');
    return;
  }

  describe('with pg_dump and pg_restore on a PostgreSQL of the machine', () => {
    let server: EmbeddedPostgres;
    let dir: string;
    let pool: pg.Pool;
    const ends: (() => Promise<unknown>)[] = [];
    afterAll(async () => {
      for (const end of ends.reverse()) await end();
    });

    it('loses no record, and destroys the version in the end', async () => {
      const made = await makeStackFolder({
        stores: { main: { type: 'postgres', urlFrom: 'DRILL_URL', tls: 'off' } },
        recordSets: PEOPLE_SET,
        rotation: ROTATION,
      });
      dir = made.dir;
      ends.push(() => rm(dir, { recursive: true, force: true }));
      server = await startPostgres({
        dir: join(dir, 'server'),
        binaries: system,
        settings: { fsync: 'off' },
      });
      ends.push(server.stop);
      await server.createDatabase(DATABASE);
      const url = server.url(DATABASE);
      const stack = await startStack({
        dir: join(dir, 'stack'),
        loaded: await loadConfig(made.configPath),
        environment: { DRILL_URL: url },
        log: silentLog,
        sweepSeconds: HOUR,
      });
      ends.push(stack.stop);
      pool = createTestPool(url, 4);
      pool.on('error', () => undefined);
      ends.push(() => pool.end());
      const file = join(dir, `backup-${randomBytes(4).toString('hex')}.dump`);
      await run({
        stack: { deps: stack.deps, pool },
        // The whole database, as it was before the fence was installed.
        keepsFence: false,
        takeBackup: () => dump(system, url, file),
        restoreBackup: () => restore(system, url, file),
      });
    });
  });
});
