import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Application, createApplication } from '../../scripts/demo/application.ts';
import { CREATE_TABLE, FIELDS, PURPOSE, RECORD_SET, tenantName } from '../../scripts/demo/records.ts';
import { createConfiguredKeyring } from '../../shared/deps/compose.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import type { RotationMode } from '../../shared/rotation/rotation.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

const RECORDS = 1500;
const TENANTS = 2;

const RECORD_SETS = {
  [RECORD_SET]: {
    store: 'main',
    table: 'clients',
    key: ['id'],
    tenant: { column: 'practice' },
    purpose: PURPOSE,
    fields: FIELDS.map((name) => ({ name, column: `${name}_enc` })),
  },
};

describe('a rotation while the application reads and writes', () => {
  let stack: TestStack;
  let application: Application;

  beforeAll(async () => {
    stack = await startTestStack({ recordSets: RECORD_SETS, rotation: { chunkSize: 50 } });
    await stack.pool.query(CREATE_TABLE);
    for (let i = 0; i < TENANTS; i++) await createKey(stack.deps, tenantName(i), PURPOSE);
    let seed = 1;
    application = createApplication({
      pool: stack.pool,
      // The application's own cache, as old as it may get.
      keyring: createConfiguredKeyring(stack.deps),
      records: RECORDS,
      tenants: TENANTS,
      random: () => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return seed / 2 ** 31;
      },
    });
    await application.insert();
    application.start(2, 2);
  });

  afterAll(async () => {
    await application.stop();
    await stack.remove();
  });

  const rotateAndPurge = async (mode: RotationMode, from: number) => {
    const requests = await Promise.all(
      Array.from({ length: TENANTS }, (_, i) =>
        requestRotation(stack.deps, { tenant: tenantName(i), purpose: PURPOSE, mode, requestedBy: 'test' }),
      ),
    );
    expect(requests.map(({ answer }) => answer)).toEqual(['started', 'started']);
    const second = await requestRotation(stack.deps, {
      tenant: tenantName(0),
      purpose: PURPOSE,
      requestedBy: 'test',
    });
    expect(second).toMatchObject({ answer: 'running', job: { jobId: requests[0]?.job.jobId } });

    const jobs = await Promise.all(requests.map(({ job }) => jobEnded(stack, job.jobId)));
    for (const job of jobs) {
      expect(job).toMatchObject({ status: 'COMPLETED', from, to: from + 1, blocker: null });
      const total = sumProgress(await readProgress(stack.deps, job));
      expect(total).toMatchObject({ quarantined: 0, remaining: 0, listed: true });
      expect(total.rewrapped + total.skipped).toBe(total.planned);
      expect(total.rewrapped).toBeGreaterThan(0);
      // The census read every row, and every value of it is on the new version.
      const values = (RECORDS / TENANTS) * FIELDS.length;
      expect(job.census).toMatchObject({ reach: 'tenant', stale: 0, malformed: 0, foreign: 0, onVersion: 0 });
      expect(job.census?.coverage[RECORD_SET]).toMatchObject({
        rows: RECORDS / TENANTS,
        values,
        versions: { [from + 1]: values },
      });
    }
    for (let i = 0; i < TENANTS; i++) {
      await eventually(async () => {
        const key = await stack.deps.ledger.getKey(tenantName(i), PURPOSE);
        return key?.versions[String(from)]?.state === 'DESTROYED';
      }, `the purge of version ${from}`);
    }
  };

  it.each([
    ['rewrap', 1],
    ['re-encrypt', 2],
  ] as const)(
    '%s: every read opens to the last committed value, the version is purged',
    async (mode, from) => {
      const readsBefore = application.reads;
      const writesBefore = application.writes;
      await rotateAndPurge(mode, from);
      expect(application.reads).toBeGreaterThan(readsBefore);
      expect(application.writes).toBeGreaterThan(writesBefore);
      expect(application.mismatches).toBe(0);
      expect(Object.fromEntries(application.failures)).toEqual({});
    },
  );

  it('leaves every record readable, and nothing of the destroyed versions in the ledger', async () => {
    await application.stop();
    const verified = await application.verify();
    expect(verified).toEqual({ opened: RECORDS * FIELDS.length, mismatches: 0 });
    const key = await stack.deps.ledger.getKey(tenantName(0), PURPOSE);
    expect(key?.active).toBe(3);
    expect(key?.rotationId).toBeNull();
    expect(Object.values(key?.versions ?? {}).map(({ state, wrapped }) => [state, wrapped === null])).toEqual(
      [
        ['DESTROYED', true],
        ['DESTROYED', true],
        ['ACTIVE', false],
      ],
    );
  });

  it('refuses to purge the active version, a version in its grace and one that is not there', async () => {
    const request = { tenant: tenantName(0), purpose: PURPOSE, requestedBy: 'test' };
    await expect(requestPurge(stack.deps, { ...request, version: 3 })).rejects.toMatchObject({
      code: 'PURGE_REFUSED',
    });
    await expect(requestPurge(stack.deps, { ...request, version: 9 })).rejects.toMatchObject({
      code: 'VERSION_NOT_FOUND',
    });
    await expect(
      requestPurge(stack.deps, { ...request, tenant: 'nobody', version: 1 }),
    ).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    });
  });
});
