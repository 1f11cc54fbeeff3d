import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type DaemonMessage, daemonMessageSchema } from '../../local/daemon.ts';
import { isAlive, readStackInfo, type StackInfo } from '../../local/stack-info.ts';
import { CliError } from './cli-error.ts';

/** Starts and stops the daemon of the embedded stack from a command. */

export const LOG_FILE = 'stack.log';
const DAEMON = fileURLToPath(new URL('../../local/daemon.ts', import.meta.url));
const START_MS = 120_000;
const RETRY_MS = 250;
const STOP_MS = 45_000;
const KILL_MS = 5_000;
/** A longer log is put aside at the next start; one older one is kept. */
const LOG_BYTES = 10 * 1024 * 1024;

export interface StartResult {
  readonly status: 'started' | 'already-running';
  readonly info: StackInfo;
}

/**
 * Starts a stack in the folder unless one runs. Of several that start at once one gets the folder's lock; the others
 * find that one. A folder whose stack is just ending is waited for.
 */
export async function startDaemon(dir: string, configPath: string): Promise<StartResult> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const running = await readStackInfo(dir);
    if (running !== null) return { status: 'already-running', info: running };
    const outcome = await spawnDaemon(dir, configPath);
    const info = await readStackInfo(dir);
    if (outcome.type === 'ready' && info !== null) return { status: 'started', info };
    if (outcome.type === 'failed' && !outcome.locked) throw startFailed(dir, outcome);
    if (Date.now() > deadline) {
      throw new CliError(
        'STACK_START_FAILED',
        `Another process has the folder ${dir}, and no stack answers in it`,
        {
          remedy: 'Find it with `ps`, end it, and start again.',
        },
      );
    }
    await sleep(RETRY_MS);
  }
}

async function spawnDaemon(dir: string, configPath: string): Promise<DaemonMessage> {
  await mkdir(dir, { recursive: true, mode: 0o711 });
  const path = join(dir, LOG_FILE);
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > LOG_BYTES) await rename(path, `${path}.1`);
  const log = await open(path, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [DAEMON, '--dir', dir, '--config', configPath], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
    });
    return await hear(child, path);
  } finally {
    await log.close();
  }
}

/** The daemon's word on its start; it lives on without us. */
function hear(child: ChildProcess, logPath: string): Promise<DaemonMessage> {
  return new Promise((resolve) => {
    const end = (message: DaemonMessage) => {
      child.removeAllListeners();
      if (child.connected) child.disconnect();
      child.unref();
      resolve(message);
    };
    const died = (message: string) =>
      end({
        type: 'failed',
        locked: false,
        code: 'UNEXPECTED',
        message,
        remedy: `Its last lines are in ${logPath}.`,
      });
    child.once('message', (raw) => {
      const parsed = daemonMessageSchema.safeParse(raw);
      if (parsed.success) end(parsed.data);
      else died('The daemon said something unknown');
    });
    child.once('error', (error) => died(error.message));
    child.once('exit', (code, signal) => died(`The daemon ended with ${signal ?? `code ${code}`}`));
  });
}

function startFailed(
  dir: string,
  { code, message, remedy }: Extract<DaemonMessage, { type: 'failed' }>,
): CliError {
  return new CliError('STACK_START_FAILED', `${code}: ${message}`, {
    remedy: remedy ?? `The log is ${join(dir, LOG_FILE)}.`,
  });
}

/** Ends the daemon and waits until it is gone. `killed`: it did not end by itself in time. */
export async function stopDaemon(info: StackInfo): Promise<'stopped' | 'killed'> {
  process.kill(info.pid, 'SIGTERM');
  if (await isGone(info.pid, STOP_MS)) return 'stopped';
  process.kill(info.pid, 'SIGKILL');
  if (await isGone(info.pid, KILL_MS)) return 'killed';
  throw new CliError('STACK_STOP_FAILED', `The stack (pid ${info.pid}) does not end`);
}

async function isGone(pid: number, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (isAlive(pid)) {
    if (Date.now() > deadline) return false;
    await sleep(50);
  }
  return true;
}
