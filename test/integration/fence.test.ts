import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkFence, raiseAll, selectFences } from '../../scripts/cli/fences.ts';
import { SERVICE } from '../../shared/audit/outbox.ts';
import type { Kek } from '../../shared/envelope/index.ts';
import { readTombstone, seal, toText } from '../../shared/envelope/index.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { giveUp } from '../../shared/rotation/give-up.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { runOn } from '../scripts/capture.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** The fence and tombstones on the embedded stack: a rotation end to end, with writers that slept through it. */

const TENANT = 'acme';
const KEY = { tenant: TENANT, purpose: 'default', requestedBy: 'test' };
const field = (name: string, column: string) => ({ name, column });
const RECORD_SETS = {
  people: {
    store: 'main',
    table: 'people',
    key: ['id'],
    tenant: { fixed: TENANT },
    fields: [field('email', 'email_enc'), field('note', 'note_enc')],
  },
};

const COUNT = 30;

describe('a rotation with a fence', () => {
  let stack: TestStack;
  let old: Kek;

  const sealed = (kek: Kek, id: number, name = 'email') =>
    seal(Buffer.from(`${name} ${id}`), kek, {
      ...{ tenant: TENANT, recordSet: 'people' },
      ...{ recordId: [String(id)], field: name },
    });
  const write = (kek: Kek, id: number) =>
    stack.pool.query(
      `INSERT INTO people VALUES ($1, $2, $3)
       ON CONFLICT (id) DO UPDATE SET email_enc = excluded.email_enc, note_enc = excluded.note_enc`,
      [id, Buffer.from(sealed(kek, id)), toText(sealed(kek, id, 'note'))],
    );
  const rotate = async () => {
    const { job } = await requestRotation(stack.deps, KEY);
    return jobEnded(stack, job.jobId);
  };
  const keyOf = async () => {
    const key = await stack.deps.ledger.getKey(TENANT, 'default');
    if (key === null) throw new Error('The key is gone');
    return key;
  };
  const fenceCommand = (what: 'install' | 'remove') =>
    runOn(stack.deps, ['fence', what, '--record-set', 'people', '--yes']);
  const check = async () => {
    const [set] = selectFences(stack.deps, 'people');
    if (set === undefined) throw new Error('no record set');
    return checkFence(stack.deps, set, await stack.deps.ledger.listKeys());
  };

  beforeAll(async () => {
    stack = await startTestStack(
      { recordSets: RECORD_SETS, rotation: { chunkSize: 10 } },
      { sweepSeconds: 3600 },
    );
    await stack.pool.query(
      'CREATE TABLE people (id int PRIMARY KEY, email_enc bytea, note_enc varchar(2000) NOT NULL)',
    );
    await createKey(stack.deps, TENANT, 'default');
    // A process that goes to sleep with this.
    old = await stack.deps.keyring.active(TENANT, 'default');
    for (let id = 1; id <= COUNT; id++) await write(old, id);
    expect(await check()).toMatchObject({ status: 'not installed' });
    expect((await fenceCommand('install')).stdout).toContain('table people has its fence');
  });
  afterAll(() => stack.remove());

  it('goes through, while an application writes, and refuses its sleeping writers afterwards', async () => {
    let stop = false;
    const application = (async () => {
      for (let n = 0; !stop; n++)
        await write(await stack.deps.keyring.active(TENANT, 'default'), 1 + (n % COUNT));
    })();
    const ended = await rotate();
    stop = true;
    // None of its writes was refused: it holds no version longer than it declares.
    await application;
    expect(ended).toMatchObject({ status: 'COMPLETED', census: { stale: 0 } });
    await expect(write(old, 1)).rejects.toMatchObject({ code: 'KT001', column: 'email_enc' });
    await expect(write(old, 1000)).rejects.toMatchObject({ code: 'KT001' });
    stack.deps.keyring.clear();
    await write(await stack.deps.keyring.active(TENANT, 'default'), 1000);
    expect(await check()).toMatchObject({ status: 'holds', problems: [], keys: 1, waiting: 0 });
  });

  it('lets the purge count zero and destroy the version, whatever sleeps on', async () => {
    await eventually(async () => {
      const due = (await keyOf()).versions['1']?.purgeNotBefore;
      return typeof due === 'string' && Date.now() > Date.parse(due);
    }, 'the end of the grace');
    const { job } = await requestPurge(stack.deps, { ...KEY, version: 1 });
    expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED', census: { onVersion: 0 } });
    await expect(write(old, 1)).rejects.toMatchObject({ code: 'KT001' });
  });

  it('that lost its minimums is found out and mended', async () => {
    await stack.pool.query('DELETE FROM keyturn_fence.minimum_version');
    expect(await check()).toMatchObject({
      status: 'broken',
      problems: ['it takes version 1 of acme/default, whose active version is 2'],
    });
    expect(await raiseAll(stack.deps)).toEqual({ raised: 1, waiting: 0 });
    expect(await check()).toMatchObject({ status: 'holds' });
    await stack.pool.query('UPDATE keyturn_fence.minimum_version SET minimum = 9, revision = 0');
    expect(await check()).toMatchObject({
      status: 'broken',
      problems: ['it refuses the active version of acme/default: 2, below its minimum 9'],
    });
    await raiseAll(stack.deps);
    expect(await check()).toMatchObject({ status: 'holds' });
  });

  it('leaves tombstones in both kinds of columns, whatever stood there, and no purge waits for them', async () => {
    const set = (id: number, column: string, value: unknown) =>
      stack.pool.query(`UPDATE people SET ${column} = $2 WHERE id = $1`, [id, value]);
    await set(5, 'email_enc', Buffer.from('no envelope'));
    await set(6, 'note_enc', 'Plain text, ümlaut and all');
    await set(7, 'note_enc', toText(Buffer.from('no envelope')));
    const ended = await rotate();
    expect(ended).toMatchObject({ status: 'COMPLETED', census: { malformed: 3 } });
    const { keyId } = await keyOf();
    const quarantined = await stack.deps.ledger.listQuarantined(keyId);
    expect(quarantined.map(({ recordId, field: name, code }) => [recordId[0], name, code]).sort()).toEqual([
      ['5', 'email', 'ENVELOPE_MALFORMED'],
      ['6', 'note', 'ENVELOPE_MALFORMED'],
      ['7', 'note', 'ENVELOPE_MALFORMED'],
    ]);
    for (const { recordId, field: name } of quarantined) {
      const answer = await giveUp(stack.deps, {
        ...{ tenant: TENANT, recordSet: 'people', recordId, field: name },
        ...{ reason: 'test', requestedBy: 'person:test' },
      });
      expect(answer).toMatchObject({ status: 'given-up' });
    }
    const { rows } = await stack.pool.query(
      'SELECT id, email_enc, note_enc FROM people WHERE id IN (5, 6, 7) ORDER BY id',
    );
    expect(readTombstone(rows[0].email_enc)).toMatchObject({ keyId, version: null });
    for (const row of rows.slice(1)) {
      expect(readTombstone(Buffer.from(row.note_enc, 'base64url'))).toMatchObject({ keyId });
      // The field beside it is as it was.
      expect(readTombstone(row.email_enc)).toBeNull();
    }
    const next = await rotate();
    expect(next).toMatchObject({ status: 'COMPLETED', census: { malformed: 0, stale: 0 } });
    expect(next.census?.coverage['people']).toMatchObject({ tombstones: 3 });
    await eventually(async () => {
      const due = (await keyOf()).versions['2']?.purgeNotBefore;
      return typeof due === 'string' && Date.now() > Date.parse(due);
    }, 'the end of the grace');
    const { job } = await requestPurge(stack.deps, { ...KEY, version: 2 });
    expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED' });
  });

  it('takes whatever it is given again once it is removed', async () => {
    expect((await fenceCommand('remove')).stdout).toContain('people: its fence is gone');
    await write(old, 2000);
    const left = await stack.pool.query("SELECT 1 FROM pg_namespace WHERE nspname = 'keyturn_fence'");
    expect(left.rows).toEqual([]);
  });

  it('is in the audit: what is done to a table in the service’s, and what the fence is told in the tenant’s', async () => {
    const toRun = await runOn(stack.deps, ['fence', 'install', '--all', '--sql']);
    expect(toRun.stdout).toMatch(/^CREATE SCHEMA[\s\S]*;\nCREATE [\s\S]*\$fence\$;\n/);
    expect(toRun.stdout).not.toContain('\ufffd');
    const again = [await fenceCommand('install'), await fenceCommand('install')];
    const sql = await runOn(stack.deps, ['fence', 'install', '--all', '--sql']);
    expect(sql.stdout).toBe('-- people: table people has its fence already\n');
    again.push(await fenceCommand('remove'), await fenceCommand('remove'));
    expect(again[1]?.stdout).toContain('had it already');
    expect(again[3]?.stdout).toContain('people: had none');
    const told = async (tenant: string) => {
      const items = await stack.deps.audit.listAuditEntries(tenant, 1, 1000);
      return items.flatMap(({ entry }) => (entry?.type.startsWith('fence.') ? [entry] : []));
    };
    const ofTables = await told(SERVICE);
    const once = ['fence.install-begun', 'fence.installed', 'fence.remove-begun', 'fence.removed'];
    expect(ofTables.map(({ type }) => type)).toEqual([...once, ...once]);
    for (const { detail } of ofTables)
      expect(detail).toEqual({ recordSet: 'people', store: 'main', table: 'people' });
    const { keyId } = await keyOf();
    const minimums = (await told(TENANT)).map(({ detail }) => detail);
    expect(minimums.map(({ version }) => version)).toEqual(expect.arrayContaining([2, 3, 4]));
    for (const detail of minimums) expect(detail).toMatchObject({ store: 'main', purpose: 'default', keyId });
  });

  it('takes a value of a backup between begin and end of a restore, as the runbook says, and no sooner', async () => {
    // On a version that is destroyed, from when there was no fence.
    await stack.pool.query('DELETE FROM people WHERE id = 2000');
    await fenceCommand('install');
    stack.deps.keyring.clear();
    const envelope = Buffer.from(sealed(await stack.deps.keyring.active(TENANT, 'default'), 8));
    const backupTime = new Date(Date.now()).toISOString();
    expect(await rotate()).toMatchObject({ status: 'COMPLETED' });
    const bringBack = () => stack.pool.query('UPDATE people SET email_enc = $1 WHERE id = 8', [envelope]);
    const hint = expect.stringContaining('Rows of a backup need keyturn restore begin first');
    await expect(bringBack()).rejects.toMatchObject({ code: 'KT001', hint });
    const restore = async (...argv: readonly string[]) =>
      JSON.parse((await runOn(stack.deps, ['restore', ...argv, '--json'])).stdout);
    const { restoreId } = await restore('begin', '--store', 'main', '--backup-time', backupTime);
    await bringBack();
    const { keys } = await restore('end', restoreId);
    const swept = await jobEnded(stack, keys[0].jobId);
    expect(swept).toMatchObject({ status: 'COMPLETED', census: { stale: 0 } });
    await expect(bringBack()).rejects.toMatchObject({ code: 'KT001' });
  });
});
