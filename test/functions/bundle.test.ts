import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { makeStackFolder } from '../support/stack.ts';

/**
 * A function as Lambda runs it: in a process of its own, by Lambda's environment variables, with a ledger that answers and
 * an X-Ray daemon that listens. Once bundled to CommonJS as it is deployed, once as the ES module that it is.
 */

const SOURCE = fileURLToPath(new URL('../../functions/prove-version/index.ts', import.meta.url));
const JOB = '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11';
const TENANT = 'tenant-4711';

const { dir, configPath } = await makeStackFolder({ recordSets: {} });

/** An empty ledger. */
const ledger = createServer((request, response) => {
  request
    .resume()
    .on('end', () => response.setHeader('content-type', 'application/x-amz-json-1.0').end('{}'));
});
const daemon = createSocket('udp4');
const traces: string[] = [];

beforeAll(async () => {
  await build({
    entryPoints: [SOURCE],
    outfile: join(dir, 'bundle.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    keepNames: true,
    minify: true,
    external: ['pg-native'],
    logLevel: 'silent',
  });
  daemon.on('message', (message) => traces.push(String(message)));
  daemon.bind(0, '127.0.0.1');
  ledger.listen(0, '127.0.0.1');
  await Promise.all([once(daemon, 'listening'), once(ledger, 'listening')]);
});

afterAll(async () => {
  daemon.close();
  ledger.close();
  await rm(dir, { recursive: true, force: true });
});

const answerSchema = z.object({ name: z.string(), message: z.string() });

async function invoke(modulePath: string) {
  const script = join(dir, 'call.mjs');
  await writeFile(
    script,
    `const loaded = await import(process.argv[2]);
    const { handler } = loaded.handler ? loaded : loaded.default;
    const context = { getRemainingTimeInMillis: () => 60_000, functionName: 'f', awsRequestId: 'r' };
    for (let i = 0; i < 2; i++) {
      const answer = await handler({ jobId: '${JOB}', tenant: '${TENANT}' }, context).catch(({ name, message }) => ({ name, message }));
      process.stdout.write('ANSWER ' + JSON.stringify(answer) + '\\n');
    }
    // Lives on until its traces have come.
    setInterval(() => {}, 1000);`,
  );
  traces.length = 0;
  const child = spawn(process.execPath, [script, modulePath], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
      AWS_LAMBDA_FUNCTION_NAME: 'f',
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      LAMBDA_TASK_ROOT: dir,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${(ledger.address() as AddressInfo).port}`,
      AWS_XRAY_DAEMON_ADDRESS: `127.0.0.1:${daemon.address().port}`,
      _X_AMZN_TRACE_ID: 'Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1',
      _HANDLER: 'index.handler',
      POWERTOOLS_SERVICE_NAME: 'keyturn-test',
      KEYTURN_CONFIG: configPath,
      KEYTURN_LEDGER_TABLE: 'ledger',
    },
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => output.push(String(data)));
  const answered = () => output.join('').split('ANSWER ').length - 1;
  await expect.poll(answered, { timeout: 60_000 }).toBe(2);
  // Of each call its own segment, and that of its request.
  await expect.poll(() => traces.length, { timeout: 60_000 }).toBe(4);
  child.kill();
  await once(child, 'close');
  const lines = output.join('').split('\n').filter(Boolean);
  const answers = lines.filter((line) => line.startsWith('ANSWER '));
  return {
    answers: answers.map((line) => answerSchema.parse(JSON.parse(line.slice('ANSWER '.length)))),
    logs: lines.filter((line) => !line.startsWith('ANSWER ')),
    traces: [...traces],
  };
}

it.each([
  ['bundled to CommonJS', () => join(dir, 'bundle.cjs')],
  ['as an ES module', () => SOURCE],
])('runs %s, logs and traces without what it was given', async (_, path) => {
  const { answers, logs, traces } = await invoke(path());
  const missing = { name: 'PermanentError', message: `ROTATION_NOT_FOUND: There is no job ${JOB}` };
  expect(answers).toEqual([missing, missing]);
  expect(logs.map((line): unknown => JSON.parse(line))).toEqual(
    [true, false].map((cold_start) =>
      expect.objectContaining({
        message: 'failed',
        code: 'ROTATION_NOT_FOUND',
        service: 'keyturn-test',
        cold_start,
        xray_trace_id: '1-67891233-abcdef012345678912345678',
      }),
    ),
  );
  const sent = traces.join('\n');
  expect(sent).toContain('"name":"DynamoDB"');
  expect(sent).toContain('"operation":"GetItem"');
  expect(sent).toContain('"ColdStart":true');
  for (const text of [sent, logs.join('\n')]) expect(text).not.toContain(TENANT);
  // An error is marked, and its text is not told.
  expect(sent).toMatch(/"error":true|"fault":true/);
  expect(sent).not.toContain('ROTATION_NOT_FOUND');
});
