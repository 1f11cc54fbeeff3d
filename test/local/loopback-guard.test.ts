import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { startSqs } from '../../local/sqs.ts';
import { startStepFunctions } from '../../local/step-functions.ts';

/** A page in a browser on this machine must not reach the embedded engines. */

interface Engine {
  readonly endpoint: string;
  stop(): Promise<void>;
}

describe.each([
  ['DynamoDB', (): Promise<Engine> => startDynamoDb()],
  ['SQS', (): Promise<Engine> => startSqs()],
  ['Step Functions', (): Promise<Engine> => startStepFunctions({ machines: [], handlers: {}, now: () => 0 })],
])('the embedded %s', (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(() => engine.stop());

  it.each([
    ['from a page', ['Host: 127.0.0.1', 'Origin: https://example.org'], true],
    ['from a page of this machine', ['Host: 127.0.0.1', 'Origin: http://127.0.0.1'], true],
    ['by a rebound name', ['Host: evil.example'], true],
    ['by 127.0.0.1', ['Host: 127.0.0.1'], false],
    ['by localhost and a port', ['Host: localhost:1234'], false],
  ])('refuses a request %s: %j is %s', async (_name, headers, refused) => {
    const status = await rawStatus(Number(new URL(engine.endpoint).port), headers);
    expect(status === 403).toBe(refused);
  });
});

/** fetch sets Host itself, so the request is written by hand. */
function rawStatus(port: number, headers: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    let answer = '';
    socket.on('data', (data) => {
      answer += data.toString();
    });
    socket.on('end', () => resolve(Number(answer.split(' ')[1])));
    socket.on('error', reject);
    socket.write(
      ['POST / HTTP/1.1', ...headers, 'Content-Length: 0', 'Connection: close', '', ''].join('\r\n'),
    );
  });
}
