import {
  DescribeExecutionCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalStepFunctions, startStepFunctions } from '../../local/step-functions.ts';

let server: LocalStepFunctions;
let client: SFNClient;
const failed: [name: string, error: string][] = [];
let now = 1_000_000;

beforeEach(async () => {
  failed.length = 0;
  server = await startStepFunctions({
    machines: ['purge-version'],
    // It waits for its barrier for ever.
    handlers: {
      BeginPurge: () => ({ round: 1, segments: [] }),
      CheckBarrier: () => ({ passed: false, waitSeconds: 3600 }),
    },
    now: () => now,
    onFailed: (name, error) => failed.push([name, error]),
  });
  client = new SFNClient({
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });
});
afterEach(async () => {
  client.destroy();
  await server.stop();
});

const stateMachineArn = 'arn:aws:states:us-east-1:000000000000:stateMachine:purge-version';
const input = JSON.stringify({ jobId: 'j' });

describe('the embedded Step Functions', () => {
  it('describes an execution as AWS does, and stops it', async () => {
    const { executionArn = '', startDate } = await client.send(
      new StartExecutionCommand({ stateMachineArn, name: 'one', input }),
    );
    expect(executionArn).toBe('arn:aws:states:us-east-1:000000000000:execution:purge-version:one');
    expect(startDate).toEqual(new Date(now));
    const describeIt = () => client.send(new DescribeExecutionCommand({ executionArn }));
    expect(await describeIt()).toMatchObject({ status: 'RUNNING', input, name: 'one', stateMachineArn });
    now += 5000;
    await client.send(new StopExecutionCommand({ executionArn }));
    await expect.poll(async () => (await describeIt()).status).toBe('ABORTED');
    expect((await describeIt()).stopDate).toEqual(new Date(now));
    await expect.poll(() => failed).toEqual([['one', 'ExecutionAbortedError']]);
  });

  it('answers what is not there with AWS’s errors', async () => {
    const machine = { stateMachineArn: `${stateMachineArn}x`, name: 'n' };
    await expect(client.send(new StartExecutionCommand(machine))).rejects.toMatchObject({
      name: 'StateMachineDoesNotExist',
    });
    const none = { executionArn: 'none' };
    const missing = { name: 'ExecutionDoesNotExist' };
    await expect(client.send(new DescribeExecutionCommand(none))).rejects.toMatchObject(missing);
    await expect(client.send(new StopExecutionCommand(none))).rejects.toMatchObject(missing);
  });

  const post = async (target: string, body: string) => {
    const reply = await fetch(server.endpoint, { method: 'POST', headers: { 'x-amz-target': target }, body });
    return { status: reply.status, body: await reply.text() };
  };

  it('refuses what it does not know, without an echo of it', async () => {
    for (const [target, body, type] of [
      ['AWSStepFunctions.DeleteStateMachine', '{}', 'UnknownOperationException'],
      ['constructor', '{}', 'UnknownOperationException'],
      ['AWSStepFunctions.StartExecution', '{"name":7}', 'ValidationException'],
      ['AWSStepFunctions.StartExecution', `{"name":"${'SECRET'.repeat(20)}"}`, 'ValidationException'],
    ] as const) {
      const reply = await post(target, body);
      expect(reply.status, target).toBe(400);
      expect(JSON.parse(reply.body)).toMatchObject({ __type: type });
      expect(reply.body).not.toContain('SECRET');
    }
    expect((await post('AWSStepFunctions.StartExecution', '{SECRET')).status).toBe(500);
    expect((await post('AWSStepFunctions.StartExecution', '{SECRET')).body).not.toContain('SECRET');
    const malformed = JSON.stringify({ stateMachineArn, name: 'bad', input: '{SECRET' });
    expect((await post('AWSStepFunctions.StartExecution', malformed)).body).not.toContain('SECRET');
  });

  it('aborts what runs when it stops', async () => {
    await client.send(new StartExecutionCommand({ stateMachineArn, name: 'two', input }));
    await server.stop();
    await expect.poll(() => failed).toEqual([['two', 'ExecutionAbortedError']]);
    server = await startStepFunctions({ machines: [], handlers: {}, now: () => 0 });
  });
});
