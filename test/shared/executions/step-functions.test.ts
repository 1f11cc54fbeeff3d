import { SFNClient } from '@aws-sdk/client-sfn';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startStepFunctions } from '../../../local/step-functions.ts';
import { STATE_MACHINES } from '../../../shared/executions/executions.ts';
import { createStepFunctions } from '../../../shared/executions/step-functions.ts';
import { describeExecutions, type StateFunctions } from '../../contracts/executions.ts';

/** Over the wire, with the real SDK, on the embedded engine. */

async function startEngine(functions: StateFunctions) {
  const failed: [name: string, error: string][] = [];
  const server = await startStepFunctions({
    machines: STATE_MACHINES,
    handlers: Object.fromEntries(
      Object.entries(functions).map(([state, run]) => [
        state,
        async (input: unknown) => z.json().parse(await run(input)),
      ]),
    ),
    now: () => 0,
    onFailed: (name, error) => failed.push([name, error]),
  });
  const client = new SFNClient({
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });
  return {
    ...{ server, client, failed },
    executions: createStepFunctions(client, server.arns),
    stop: async () => {
      client.destroy();
      await server.stop();
    },
  };
}

async function until(so: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(so, { interval: 5, timeout: 60_000 }).toBe(true);
}

describeExecutions('Step Functions', async (functions) => {
  const engine = await startEngine(functions);
  const gone = await startEngine({});
  await gone.server.stop();
  return {
    executions: engine.executions,
    unreachable: gone.executions,
    until,
    rest: () => new Promise((resolve) => setTimeout(resolve, 50)),
    stop: async () => {
      gone.client.destroy();
      await engine.stop();
    },
  };
});

describe('executions on the embedded engine', () => {
  it('that failed are reported by the name of their error', async () => {
    const { executions, failed, stop } = await startEngine({
      CreateVersion: () => {
        throw Object.assign(new Error('VERSION_STATE: no'), { name: 'PermanentError' });
      },
      StopJob: () => null,
    });
    await executions.start('rotate-key', 'x', { jobId: 'x' });
    await until(() => failed.length > 0);
    expect(failed).toEqual([['x', 'PermanentError']]);
    await stop();
  });

  it('fail for a machine that is not there, for good', async () => {
    const { client, server, stop } = await startEngine({});
    const arns = { ...server.arns, 'rotate-key': `${server.arns['rotate-key']}-none` };
    await expect(createStepFunctions(client, arns).start('rotate-key', 'x', {})).rejects.toMatchObject({
      code: 'EXECUTIONS_UNAVAILABLE',
      retryable: false,
    });
    await stop();
  });
});
