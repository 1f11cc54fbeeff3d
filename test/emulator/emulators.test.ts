import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { startLocalEmu } from './support/emulators.ts';
import { freePort, startEmulator } from './support/server.ts';

test('an emulator that does not come up is ended, and its last lines are told', async () => {
  const port = await freePort();
  const broken = startEmulator({
    name: 'broken',
    program: 'node',
    args: ['-e', 'console.log("no such setting"); setTimeout(() => {}, 600_000)'],
    readyPath: '/',
    port,
    startSeconds: 2,
  });
  await expect(broken).rejects.toThrow(/broken did not start in time.*no such setting/s);
});

test('what an emulator started ends with it', async () => {
  const port = await freePort();
  const listen = `require('http').createServer((_, r) => r.end()).listen(${port}, '127.0.0.1')`;
  const child = `require('child_process').spawn('sleep', ['600'], { stdio: 'ignore' })`;
  const emulator = await startEmulator({
    name: 'parent',
    program: 'node',
    args: ['-e', `${listen}; console.log(${child}.pid)`],
    readyPath: '/',
    port,
  });
  const pid = Number(await readFile(emulator.logFile, 'utf8'));
  expect(process.kill(pid, 0)).toBe(true);
  await emulator.stop();
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('what the suites use of LocalEmu is loaded once it is ready', async () => {
  const emulator = await startLocalEmu();
  const health: unknown = await (await fetch(`${emulator.endpoint}/_localemu/health`)).json();
  await emulator.stop();
  expect(health).toMatchObject({
    services: { events: 'running', iam: 'running', kms: 'running', s3: 'running', sts: 'running' },
  });
});
