import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { create } from '../../functions/stop-job/index.ts';
import { pauseJob } from '../../shared/rotation/pause-job.ts';
import { reconcileRootKeys } from '../../shared/rotation/reconcile-root-keys.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createTestRootKeys } from '../../simulation/models/root-keys.ts';
import { testJob } from '../contracts/ledger.ts';
import { prepareWorlds, stateOf, type World } from '../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());
const context = { getRemainingTimeInMillis: () => 60_000 };
const jobId = '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11';

let world: World;
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await world.ledger.createJob(testJob({ jobId, status: 'SWEEPING' }));
});

/** D/step-functions/latest/dg/concepts-error-handling.html: a Lambda's error comes as JSON text in Cause. */
const cases = [
  [
    'AWS’s JSON',
    { Error: 'PermanentError', Cause: '{"errorMessage":"VERSION_STATE: no","errorType":"PermanentError"}' },
    'VERSION_STATE: no',
  ],
  ['a plain text', { Error: 'PermanentError', Cause: 'VERSION_STATE: no' }, 'VERSION_STATE: no'],
  ['other JSON', { Error: 'X', Cause: '{"a":1}' }, '{"a":1}'],
  ['no cause', { Error: 'States.Timeout' }, 'States.Timeout'],
  ['an empty cause', { Error: 'States.Timeout', Cause: '' }, 'States.Timeout'],
] as const;

describe('stopping a job', () => {
  it.each(cases)('reads the reason from %s', async (_, error, message) => {
    expect(await create(world.deps)({ jobId, sweep: { round: 1 }, error }, context)).toEqual({
      paused: false,
    });
    expect(await world.job(jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'STEP_FAILED', message },
    });
  });
});

describe('stopping a job whose root key is in the way', () => {
  const rootKeys = createTestRootKeys();
  const rootKeyId = rootKeys.provider.rootKeyFor('');
  const stop = (Cause: string) =>
    create(world.deps)({ jobId, error: { Error: 'PermanentError', Cause } }, context);
  beforeEach(async () => {
    rootKeys.set(rootKeyId, 'ENABLED');
    world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider });
    await world.ledger.createJob(testJob({ jobId, status: 'SWEEPING' }));
  });

  it.each([
    ['ROOT_KEY_DISABLED', 'DISABLED'],
    ['ROOT_KEY_PENDING_DELETION', 'PENDING_DELETION'],
    ['ROOT_KEY_PENDING_IMPORT', 'PENDING_IMPORT'],
    ['ROOT_KEY_NOT_FOUND', 'NOT_FOUND'],
  ] as const)('%s: pauses it and suspends what the root key wrapped', async (code, state) => {
    rootKeys.set(rootKeyId, state);
    expect(await stop(`${code}: not now`)).toEqual({ paused: true });
    expect(await world.job(jobId)).toMatchObject({
      status: 'PAUSED',
      pause: { reason: 'ROOT_KEY', rootKeyId },
      blocker: null,
    });
    expect(await stateOf(world, 1)).toBe('SUSPENDED');
  });

  it('pauses it, and suspends nothing, when the root key can be used by now: the daily sweep takes it up', async () => {
    expect(await stop('ROOT_KEY_DISABLED: not now')).toEqual({ paused: true });
    expect(await stateOf(world, 1)).toBe('ACTIVE');
    expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED' });
    await reconcileRootKeys(world.deps);
    expect(await world.job(jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2 });
  });

  it('pauses it when a version is suspended for its root key, whatever the step says', async () => {
    rootKeys.set(rootKeyId, 'DISABLED');
    await reconcileRootKeys(world.deps, { prove: false });
    const { pause, ...job } = await world.job(jobId);
    expect(pause).not.toBeNull();
    await world.ledger.replaceJob({ ...job, status: 'SWEEPING', pause: null, revision: job.revision + 1 });
    expect(await stop('VERSION_STATE: Version 1 is SUSPENDED')).toEqual({ paused: true });
    expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED' });
  });

  it('leaves one that rests as it is', async () => {
    const at = world.clock.timestamp();
    await pauseJob(world.deps, jobId, { reason: 'PERSON', rootKeyId: null, by: null, at });
    const before = await world.job(jobId);
    expect(await stop('VERSION_STATE: no')).toEqual({ paused: true });
    expect(await world.job(jobId)).toEqual(before);
  });

  it('blocks it for a code that only begins like one', async () => {
    expect(await stop('ROOT_KEY_DISABLED_BY_NOBODY: no')).toEqual({ paused: false });
    expect(await world.job(jobId)).toMatchObject({ status: 'BLOCKED', pause: null });
  });
});
