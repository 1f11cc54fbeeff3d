import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { loadConfig } from '../shared/config/load.ts';
import { KeyturnError } from '../shared/errors/errors.ts';
import type { Log } from '../shared/log/log.ts';
import { createPinoLog } from '../shared/log/pino-log.ts';
import { type Stack, startStack } from './stack.ts';
import { removeStackInfo, type StackInfo, writeStackInfo } from './stack-info.ts';

/**
 * The process of the embedded stack: `keyturn local start` runs it in the background and hears over the IPC channel
 * how its start went. Its standard output is the log, as JSON lines.
 */

/** What the daemon tells the command that started it. `locked`: another process has the folder. */
export const daemonMessageSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready') }),
  z.object({
    type: z.literal('failed'),
    locked: z.boolean(),
    code: z.string(),
    message: z.string(),
    remedy: z.string().nullable(),
  }),
]);
export type DaemonMessage = z.infer<typeof daemonMessageSchema>;

export interface DaemonOptions {
  readonly dir: string;
  readonly configPath: string;
  readonly log: Log;
  readonly onReady: (info: StackInfo) => void;
}

/** Runs the stack until SIGTERM or SIGINT. Throws when it cannot start. */
export async function runDaemon({ dir, configPath, log, onReady }: DaemonOptions): Promise<void> {
  const ended = untilSignal();
  let stack: Stack | null = null;
  try {
    const loaded = await loadConfig(configPath);
    stack = await startStack({ dir, loaded, environment: process.env, log });
    await writeStackInfo(dir, stack.info);
    log.info('stack ready', { status: 'ready' });
    onReady(stack.info);
    await ended;
    log.info('stack stopping', { status: 'stopping' });
  } finally {
    // Before the stop: no command may begin to use what is going away.
    if (stack !== null) await removeStackInfo(dir);
    await stack?.stop();
  }
  log.info('stack stopped', { status: 'stopped' });
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}

export function describeFailure(error: unknown): Extract<DaemonMessage, { type: 'failed' }> {
  const known = error instanceof KeyturnError ? error : null;
  return {
    type: 'failed',
    locked: isLocked(error),
    code: known?.code ?? 'UNEXPECTED',
    message: error instanceof Error ? error.message : String(error),
    remedy: known?.remedy ?? null,
  };
}

/** LevelDB's lock on the DynamoDB folder, the first thing that a stack takes. */
function isLocked(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && at.code === 'LEVEL_LOCKED') return true;
  }
  return false;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { dir: { type: 'string' }, config: { type: 'string' } },
    strict: true,
  });
  const { dir, config } = z.object({ dir: z.string(), config: z.string() }).parse(values);
  const log = createPinoLog(process.stdout);
  // A log that cannot be written, as on a full disk, is no reason to stop.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);

  const fail = (what: string) => (error: unknown) => {
    const { code, message } = describeFailure(error);
    const stack = error instanceof Error ? error.stack : undefined;
    log.error(`${what}: ${message}`, { code, ...(stack !== undefined && { stack }) });
    // PostgreSQL ends with this process; LevelDB is safe against a crash.
    process.exit(1);
  };
  process.on('uncaughtException', fail('stack failed'));
  process.on('unhandledRejection', fail('stack failed'));
  try {
    await runDaemon({ dir, configPath: config, log, onReady: () => void tell({ type: 'ready' }) });
    process.exit(0);
  } catch (error) {
    await tell(describeFailure(error));
    fail('stack could not start')(error);
  }
}

/** Resolves when it was said, or when nobody is there any more. */
function tell(message: DaemonMessage): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) return resolve();
    process.send(message, undefined, undefined, () => {
      if (process.connected) process.disconnect();
      resolve();
    });
  });
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main();
}
