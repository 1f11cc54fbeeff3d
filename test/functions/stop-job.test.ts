import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { create } from '../../functions/stop-job/index.ts';
import { testJob } from '../contracts/ledger.ts';
import { createMemoryLedger } from '../support/memory-ledger.ts';
import { prepareWorlds, type World } from '../support/memory-world.ts';

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
