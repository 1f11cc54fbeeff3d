import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  embeddedUrl,
  isAlive,
  localResourceNames,
  readStackInfo,
  removeStackInfo,
  type StackInfo,
  writeStackInfo,
} from '../../local/stack-info.ts';
import { type LocalStepFunctions, startStepFunctions } from '../../local/step-functions.ts';

let dir: string;
let server: LocalStepFunctions;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keyturn-info-'));
  server = await startStepFunctions({ machines: [], handlers: {}, now: () => 0 });
});
afterEach(async () => {
  await server.stop();
  await rm(dir, { recursive: true, force: true });
});

const info = (changes: Partial<StackInfo> = {}): StackInfo => ({
  pid: process.pid,
  startedAt: '2026-01-01T00:00:00.000Z',
  config: '/etc/keyturn.json',
  endpoints: {
    dynamodb: 'http://127.0.0.1:1',
    sqs: 'http://127.0.0.1:2',
    stepFunctions: server.endpoint,
    eventBridge: 'http://127.0.0.1:3',
  },
  ledgerTable: 'ledger',
  queueUrl: 'http://127.0.0.1:2/q',
  deadLetterQueueUrl: 'http://127.0.0.1:2/dlq',
  busName: 'keyturn',
  eventDeadLetterQueueUrl: 'http://127.0.0.1:2/events',
  stateMachineArns: { 'rotate-key': 'a', 'purge-version': 'b', 'adopt-records': 'c' },
  postgresUrl: 'postgres://u:p@127.0.0.1:5432/postgres',
  ...changes,
});

describe('what a running stack leaves for the command line', () => {
  it('is read as it was written, by its owner only, and leaves nothing behind', async () => {
    await writeStackInfo(dir, info());
    expect(await readStackInfo(dir)).toEqual(info());
    expect((await stat(join(dir, 'stack.json'))).mode & 0o777).toBe(0o600);
    await writeStackInfo(dir, info({ ledgerTable: 'other' }));
    expect(await readStackInfo(dir)).toMatchObject({ ledgerTable: 'other' });
    expect(await readdir(dir)).toEqual(['stack.json']);
    await removeStackInfo(dir);
    await removeStackInfo(dir);
    expect(await readdir(dir)).toEqual([]);
    expect(await readStackInfo(dir)).toBeNull();
    expect(await readStackInfo(join(dir, 'none'))).toBeNull();
  });

  it.each([
    ['no JSON', 'x'],
    ['empty', ''],
    ['of another shape', '{"pid":1}'],
    ['with a pid that is none', JSON.stringify({ pid: -1 })],
  ])('is none when it is %s', async (_, text) => {
    await writeFile(join(dir, 'stack.json'), text);
    expect(await readStackInfo(dir)).toBeNull();
  });

  it('is read as an earlier version wrote it: without a bus, and nobody listens where it would be', async () => {
    const { busName: _, eventDeadLetterQueueUrl: __, ...rest } = info();
    const { eventBridge: ___, ...endpoints } = rest.endpoints;
    await writeFile(join(dir, 'stack.json'), JSON.stringify({ ...rest, endpoints }));
    const read = await readStackInfo(dir);
    expect(read).toMatchObject({ ledgerTable: 'ledger', busName: 'keyturn', eventDeadLetterQueueUrl: null });
    await expect(fetch(read?.endpoints.eventBridge ?? '')).rejects.toThrow();
  });

  it('is none of a stack that was killed: its pid is gone, or somebody else’s', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    expect(isAlive(pid)).toBe(false);
    await writeStackInfo(dir, info({ pid }));
    expect(await readStackInfo(dir)).toBeNull();

    const stranger = createServer((_, response) => response.end('hello'));
    await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
    const { port } = z.object({ port: z.number() }).parse(stranger.address());
    const endpoints = { ...info().endpoints, stepFunctions: `http://127.0.0.1:${port}` };
    await writeStackInfo(dir, info({ endpoints }));
    expect(await readStackInfo(dir)).toBeNull();
    await new Promise((resolve) => stranger.close(resolve));
    // And nobody listens at all.
    await writeStackInfo(dir, info({ endpoints }));
    expect(await readStackInfo(dir)).toBeNull();
    expect(JSON.parse(await readFile(join(dir, 'stack.json'), 'utf8'))).toMatchObject({ pid: process.pid });
  });

  it('gives names of resources, and a URL for each database', () => {
    expect(localResourceNames(info())).toEqual({
      ledgerTable: 'ledger',
      queueUrl: 'http://127.0.0.1:2/q',
      busName: 'keyturn',
      stateMachineArns: info().stateMachineArns,
    });
    expect(embeddedUrl(null)).toBeUndefined();
    expect(embeddedUrl(info().postgresUrl)?.('my db/1')).toBe('postgres://u:p@127.0.0.1:5432/my%20db%2F1');
  });

  it('knows that it is alive itself', () => {
    expect(isAlive(process.pid)).toBe(true);
    expect(isAlive(1)).toBe(true);
  });
});
