import { SFNClient } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LocalStepFunctions, startStepFunctions } from '../../../local/step-functions.ts';
import { createStepFunctions } from '../../../shared/executions/step-functions.ts';

/** Over the wire, with the real SDK: purges whose functions wait until they are let go. */

const JOB = '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11';
const INPUT = { jobId: JOB };

let server: LocalStepFunctions;
let client: SFNClient;
let letGo: () => void;
let gone: Promise<void>;
const failed: [name: string, error: string][] = [];
const inputs: unknown[] = [];

const connect = (endpoint: string) =>
  new SFNClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });

beforeAll(async () => {
  ({ promise: gone, resolve: letGo } = Promise.withResolvers<void>());
  server = await startStepFunctions({
    machines: ['rotate-key', 'purge-version', 'adopt-records'],
    handlers: {
      BeginPurge: async (input) => {
        inputs.push(input);
        await gone;
        return { round: 1, segments: [] };
      },
      CheckBarrier: () => ({ passed: true, waitSeconds: 0 }),
      DestroyVersion: () => ({ destroyed: true }),
      CreateVersion: () => {
        throw Object.assign(new Error('VERSION_STATE: no'), { name: 'PermanentError' });
      },
      StopJob: () => null,
    },
    now: () => 0,
    onFailed: (name, error) => failed.push([name, error]),
  });
  client = connect(server.endpoint);
});
afterAll(async () => {
  client.destroy();
  await server.stop();
});

const executions = () => createStepFunctions(client, server.arns);

async function ended(machine: 'rotate-key' | 'purge-version', name: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (!(await executions().isRunning(machine, name))) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('It runs for ever');
}

describe('executions on Step Functions', () => {
  it('start once under a name: again while it runs and after its end', async () => {
    const { start, isRunning } = executions();
    const name = `${JOB}-1`;
    expect(await isRunning('purge-version', name)).toBe(false);
    expect(await start('purge-version', name, INPUT)).toBe('started');
    expect(await isRunning('purge-version', name)).toBe(true);
    // As in AWS, the same name and input while it runs answers with the running one.
    expect(await start('purge-version', name, INPUT)).toBe('started');
    expect(await start('purge-version', name, { jobId: 'other' })).toBe('exists');
    letGo();
    await ended('purge-version', name);
    expect(await start('purge-version', name, INPUT)).toBe('exists');
    expect(inputs).toEqual([INPUT]);
    // One that ended, and one that never was, is stopped already.
    await executions().stop('purge-version', name);
    await executions().stop('rotate-key', name);
    // Another machine's executions have names of their own.
    expect(await isRunning('rotate-key', name)).toBe(false);
  });

  it('that wait are stopped where they stand', async () => {
    const waiting = await startStepFunctions({
      machines: ['purge-version'],
      handlers: {
        BeginPurge: () => ({ round: 1, segments: [] }),
        CheckBarrier: () => ({ passed: false, waitSeconds: 3600 }),
      },
      now: () => 0,
    });
    const own = connect(waiting.endpoint);
    const { start, stop, isRunning } = createStepFunctions(own, waiting.arns);
    await start('purge-version', `${JOB}-9`, INPUT);
    expect(await isRunning('purge-version', `${JOB}-9`)).toBe(true);
    await stop('purge-version', `${JOB}-9`);
    await expect.poll(() => isRunning('purge-version', `${JOB}-9`)).toBe(false);
    expect(await start('purge-version', `${JOB}-9`, INPUT)).toBe('exists');
    own.destroy();
    await waiting.stop();
  });

  it('of ten at one time is one', async () => {
    const before = inputs.length;
    const { start } = executions();
    await Promise.all(Array.from({ length: 10 }, () => start('purge-version', `${JOB}-2`, INPUT)));
    await ended('purge-version', `${JOB}-2`);
    expect(inputs.length).toBe(before + 1);
  });

  it('that failed are not running, are reported by the name of their error, and stay used up', async () => {
    const { start } = executions();
    expect(await start('rotate-key', `${JOB}-1`, INPUT)).toBe('started');
    await ended('rotate-key', `${JOB}-1`);
    await expect.poll(() => failed).toEqual([[`${JOB}-1`, 'PermanentError']]);
    expect(await start('rotate-key', `${JOB}-1`, INPUT)).toBe('exists');
  });

  it('fail for a machine that is not there, and retryable when nothing answers', async () => {
    const wrong = createStepFunctions(client, {
      ...server.arns,
      'rotate-key': `${server.arns['rotate-key']}-none`,
    });
    await expect(wrong.start('rotate-key', 'x', INPUT)).rejects.toMatchObject({
      code: 'EXECUTIONS_UNAVAILABLE',
    });
    const other = await startStepFunctions({ machines: ['rotate-key'], handlers: {}, now: () => 0 });
    const lonely = connect(other.endpoint);
    const adapter = createStepFunctions(lonely, other.arns);
    await other.stop();
    const down = { name: 'RotationError', code: 'EXECUTIONS_UNAVAILABLE', retryable: true };
    await expect(adapter.start('rotate-key', 'x', INPUT)).rejects.toMatchObject(down);
    await expect(adapter.isRunning('rotate-key', 'x')).rejects.toMatchObject(down);
    await expect(adapter.stop('rotate-key', 'x')).rejects.toMatchObject(down);
    lonely.destroy();
  });
});
