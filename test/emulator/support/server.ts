import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { CACHE } from '../../../scripts/emulators/cache.ts';

/** An emulator as a process of its own, on a free port of the loopback address. */
export interface Emulator {
  readonly endpoint: string;
  /** What it printed, and what its functions logged where it runs functions. */
  readonly logFile: string;
  /** Ends it and everything that it started. */
  stop(): Promise<void>;
}

export interface EmulatorProgram {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Answered with a status below 500 when it is up. */
  readonly readyPath: string;
  readonly port: number;
  readonly startSeconds?: number;
}

const START_SECONDS = 180;
const STOP_SECONDS = 5;
const TAIL_LINES = 30;

/** Resolves once it answers; throws with the end of its log where it does not. */
export async function startEmulator(options: EmulatorProgram): Promise<Emulator> {
  const logs = join(CACHE, 'logs');
  await mkdir(logs, { recursive: true });
  const logFile = join(logs, `${options.name}-${options.port}.log`);
  const log = await open(logFile, 'w');
  const child = spawn(options.program, options.args, {
    // A process group of its own, so that what it starts ends with it.
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
    env: { ...withoutAws(process.env), ...options.env },
  });
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  const killNow = () => killGroup(child, 'SIGKILL');
  process.once('exit', killNow);
  await log.close();
  const stop = async () => {
    await endGroup(child);
    process.removeListener('exit', killNow);
  };
  const endpoint = `http://127.0.0.1:${options.port}`;
  const deadline = Date.now() + (options.startSeconds ?? START_SECONDS) * 1000;
  while (!(await isReady(endpoint + options.readyPath))) {
    const ended = failure !== undefined || child.exitCode !== null || child.signalCode !== null;
    if (!ended && Date.now() < deadline) {
      await sleep(100);
      continue;
    }
    await stop();
    const how = ended ? `ended at once (${failure?.message ?? child.exitCode})` : 'did not start in time';
    throw new Error(`${options.name} ${how}. The end of ${logFile}:\n${await tail(logFile)}`);
  }
  return { endpoint, logFile, stop };
}

/** A port that nobody has now. Somebody may take it before the emulator does; then that start fails. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('There is no free port');
  return address.port;
}

/** A user's own AWS settings never reach an emulator, nor what it starts. */
function withoutAws(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('AWS_')));
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.status < 500;
  } catch {
    return false;
  }
}

async function endGroup(child: ChildProcess): Promise<void> {
  killGroup(child, 'SIGTERM');
  const deadline = Date.now() + STOP_SECONDS * 1000;
  while (groupLives(child) && Date.now() < deadline) await sleep(50);
  killGroup(child, 'SIGKILL');
}

function groupLives(child: ChildProcess): boolean {
  return killGroup(child, 0);
}

/** False: there is nobody in the group any more. */
function killGroup(child: ChildProcess, signal: NodeJS.Signals | 0): boolean {
  if (child.pid === undefined) return false;
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}

async function tail(file: string): Promise<string> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  return lines.slice(-TAIL_LINES).join('\n');
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
