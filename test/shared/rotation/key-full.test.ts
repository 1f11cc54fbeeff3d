import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { create as stopJobFunction } from '../../../functions/stop-job/index.ts';
import { endRestoreHold, holdForRestore } from '../../../shared/keyring/holds.ts';
import { suspendVersion } from '../../../shared/keyring/suspension.ts';
import { beginRestore } from '../../../shared/rotation/begin-restore.ts';
import { changeKey } from '../../../shared/rotation/change.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { endRestore } from '../../../shared/rotation/end-restore.ts';
import { holdVersion } from '../../../shared/rotation/holds-by-people.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { startTestDynamoDb } from '../../support/dynamodb.ts';
import { mostDestroyed, withDestroyed } from '../../support/full-keys.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import {
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
} from '../../support/memory-world.ts';

/** A key that has as many versions as fit: it gets no further one, and everything else goes on. */

const worlds = await prepareWorlds();
const db = await startTestDynamoDb();
afterAll(async () => {
  await worlds.remove();
  await db.stop();
});

const context = { getRemainingTimeInMillis: () => 60_000 };

const HOLD = {
  holdId: 'restore-1',
  versions: [1, 2, 3],
  reason: 'RESTORE',
  store: 'main',
  note: null,
  by: 'person:ann',
  until: null,
  endedEpoch: null,
} as const;

let world: World;

/** Two retired versions, one active, and as many destroyed ones as leave room for no more. */
async function prepare(ledger: 'memory' | 'dynamodb'): Promise<void> {
  world = await worlds.makeWorld(ledger === 'memory' ? createMemoryLedger() : await db.makeLedger());
  await fill(world, 2);
  for (const _ of [1, 2]) {
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
  }
  world.passGrace();
  await world.changeKey((key) => ({
    ...withDestroyed(key, mostDestroyed(key, world.deps.config) + 1),
    revision: key.revision + 1,
  }));
}

/** What the state machine does with the error of its first step. */
async function rotateInVain() {
  const { job } = await requestRotation(world.deps, KEY);
  const refused: unknown = await createVersion(world.deps, job.jobId).catch((error: unknown) => error);
  if (!(refused instanceof Error && 'code' in refused)) throw new Error('it was not refused');
  const Cause = JSON.stringify({ errorMessage: `${String(refused.code)}: ${refused.message}` });
  await stopJobFunction(world.deps)({ jobId: job.jobId, error: { Error: 'PermanentError', Cause } }, context);
  return { refused, job: await world.job(job.jobId) };
}

describe('in DynamoDB, a key that is full', () => {
  beforeEach(() => prepare('dynamodb'));

  it('gets no version, and says what to do', async () => {
    const before = await world.key();
    const { refused, job } = await rotateInVain();
    expect(refused).toMatchObject({
      code: 'KEY_FULL',
      retryable: false,
      remedy: expect.stringContaining('another purpose'),
    });
    const { code, message } = job.blocker ?? {};
    expect(code).toBe('KEY_FULL');
    const count = Object.keys(before.versions).length;
    expect(message).toContain(`has ${count} versions, ${count - 3} of them destroyed`);
    expect(message).toContain('another purpose');
    // No lock, no version, no KEK.
    expect(await world.key()).toEqual(before);
  });

  it('can be held, restored, suspended, marked and purged', async () => {
    const note = '\u{1f512}'.repeat(300);
    const others = Array.from({ length: 49 }, (_, i) => {
      return { ...HOLD, holdId: `hold-${i}`, reason: 'PERSON' as const, note, at: world.clock.timestamp() };
    });
    await world.changeKey((key) => ({
      ...key,
      holds: [...key.holds, ...others],
      revision: key.revision + 1,
    }));
    await holdVersion(world.deps, { ...KEY, version: 2, note, until: null, by: 'person:ann' });
    const backupTime = world.clock.timestamp();
    const begun = await beginRestore(world.deps, { store: 'main', backupTime, requestedBy: 'person:ann' });
    expect(begun.restore).toMatchObject({ status: 'READY', keys: 1 });
    for (const version of [1, 2, 3]) {
      const suspended = { reason: 'PERSON', rootKeyId: null, at: backupTime } as const;
      await changeKey(world.deps, TENANT, PURPOSE, (key) => suspendVersion(key, version, suspended));
    }
    const use = {
      version: 1,
      at: backupTime,
      recordSet: 'people',
      recordId: ['字'.repeat(2600)],
      field: 'email',
    };
    expect(await world.ledger.markUsed(TENANT, PURPOSE, use)).toBe(true);
    expect((await world.key()).canary).toEqual(use);
  });

  it('can be purged, rolled out of what was held, and swept', async () => {
    const backupTime = world.clock.timestamp();
    const store = { store: 'main', backupTime, requestedBy: 'person:ann' };
    const { restore } = await beginRestore(world.deps, store);
    await endRestore(world.deps, restore.restoreId, 'person:ann');
    for (const job of await world.ledger.listJobs({ kind: 'rotate', statuses: ['REQUESTED'] }))
      expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
  });
});

describe('the daily sweep', () => {
  beforeEach(() => prepare('memory'));

  it('leaves a rotation alone that has no room', async () => {
    const { job } = await rotateInVain();
    world.pass(100 * 86_400);
    // Its purges have begun, and are not over.
    expect(await sweepDaily(world.deps)).toMatchObject({ waiting: 1, rotations: 0, purges: 2 });
    expect(await world.job(job.jobId)).toEqual(job);
  });

  it('sweeps such a key anew after a restore all the same', async () => {
    await rotateInVain();
    const hold = { ...HOLD, at: world.clock.timestamp() };
    await world.changeKey((key) => holdForRestore(key, hold));
    await world.changeKey((key) => endRestoreHold(key, hold.holdId));
    // Its versions are held.
    expect(await sweepDaily(world.deps)).toMatchObject({ waiting: 1, rotations: 1, purges: 0 });
    const [resweep] = await world.ledger.listJobs({ kind: 'rotate', statuses: ['REQUESTED'] });
    expect(resweep).toMatchObject({ goal: 'RESWEEP' });
    expect(await runRotation(world, resweep?.jobId ?? '')).toBe('CLEAN');
  });

  it('takes it up when there is room again', async () => {
    const { job } = await rotateInVain();
    for (const version of [1, 2]) {
      const purge = (await requestPurge(world.deps, { ...KEY, version })).job;
      expect(await runPurge(world, purge.jobId)).toBe(true);
    }
    expect(await sweepDaily(world.deps)).toMatchObject({ waiting: 0, rotations: 1 });
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
  });
});
