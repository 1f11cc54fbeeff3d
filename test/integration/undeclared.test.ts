import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { columnsFinding } from '../../scripts/cli/columns-finding.ts';
import { seal } from '../../shared/envelope/index.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { runOn } from '../scripts/capture.ts';
import { jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** A column that the job did not know: the application wrote envelopes where no record set looks. */

const KEY = { tenant: 'acme', purpose: 'default', requestedBy: 'test' };
const ROWS = 40;

let stack: TestStack;
beforeAll(async () => {
  stack = await startTestStack(
    {
      recordSets: {
        customers: {
          ...{ store: 'main', table: 'customers', key: ['id'], tenant: { column: 'tenant' } },
          fields: [{ name: 'phone', column: 'phone' }],
        },
      },
    },
    // Purges are asked for here.
    { sweepSeconds: 86_400 },
  );
  await stack.pool.query(`
    CREATE TABLE customers (id int8 PRIMARY KEY, tenant text NOT NULL, phone bytea, note text);
    CREATE TABLE "Card Archive" (id int8, card text, details jsonb);
    CREATE TABLE others (id int8, secret bytea)`);
  await createKey(stack.deps, 'acme', 'default');
  await createKey(stack.deps, 'other', 'default');
  const sealed = async (tenant: string, id: number) => {
    const context = { tenant, recordSet: 'customers', recordId: [String(id)], field: 'phone' };
    return Buffer.from(seal(Buffer.from('555'), await stack.deps.keyring.active(tenant, 'default'), context));
  };
  for (let id = 1; id <= ROWS; id++) {
    await stack.pool.query("INSERT INTO customers VALUES ($1, 'acme', $2)", [id, await sealed('acme', id)]);
  }
  const card = await sealed('acme', 1);
  await stack.pool.query('INSERT INTO "Card Archive" VALUES (1, $1)', [card.toString('base64url')]);
  await stack.pool.query('INSERT INTO others VALUES (1, $1)', [await sealed('other', 1)]);
});
afterAll(() => stack.remove());

const purge = async () => {
  // A grace of one second.
  await stack.deps.clock.sleep(1_100);
  const { job } = await requestPurge(stack.deps, { ...KEY, version: 1 });
  return jobEnded(stack, job.jobId);
};

describe('a column with envelopes that no record set declares', () => {
  it('is named by the census and by doctor, with what was not looked into', async () => {
    const ended = await runOn(stack.deps, [
      'census',
      '--tenant',
      'acme',
      '--completeness',
      '--expect-only-active',
    ]);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('main.public.Card Archive.card: 1 envelope, 1 of this key\n');
    expect(ended.stdout).toContain('main.public.others.secret: 1 envelope, none of this key');
    expect(ended.stdout).toContain('main public.Card Archive (details): of a type that may hold envelopes');
    expect(await columnsFinding(stack.deps, 'main')).toMatchObject({
      warning: expect.stringContaining('public.Card Archive.card, public.others.secret'),
    });
  });

  it('blocks the purge of its version by name, and no longer once it is empty; another key’s does not', async () => {
    const { job } = await requestRotation(stack.deps, KEY);
    expect((await jobEnded(stack, job.jobId)).status).toBe('COMPLETED');
    const blocked = await purge();
    expect(blocked).toMatchObject({
      status: 'BLOCKED',
      blocker: {
        code: 'UNDECLARED_ENVELOPES',
        message: expect.stringContaining('main.public.Card Archive.card (1)'),
      },
      census: { reach: 'everywhere', stale: 0, onVersion: 0 },
    });
    await stack.pool.query('DELETE FROM "Card Archive"');
    // Backups have what stood there until a moment ago: the first clean count begins their holds and the grace anew.
    expect(await purge()).toMatchObject({ status: 'BLOCKED', blocker: { code: 'HELD' } });
    const done = await purge();
    expect(done).toMatchObject({ status: 'COMPLETED', attempt: 3 });
    const key = await stack.deps.ledger.getKey('acme', 'default');
    expect(key?.versions['1']?.state).toBe('DESTROYED');
    const listed = await runOn(stack.deps, ['census', 'list', '--tenant', 'acme', '--json']);
    const jobs = JSON.parse(listed.stdout).map(({ jobId, attempt }: Record<string, unknown>) => [
      jobId,
      attempt,
    ]);
    expect(jobs).toEqual([
      [done.jobId, 3],
      [done.jobId, 2],
      [done.jobId, 1],
      [job.jobId, 1],
      [null, null],
    ]);
    const { undeclared } = JSON.parse(listed.stdout)[0];
    expect(undeclared).toMatchObject([{ store: 'main', table: 'public.others', column: 'secret', ofKey: 0 }]);
  });
});
