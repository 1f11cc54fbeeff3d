import { z } from 'zod';
import { runDaemon } from '../../local/daemon.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { createPinoLog } from '../../shared/log/pino-log.ts';
import { type Cli, defineCommand, option } from '../cli/command.ts';
import { startDaemon } from '../cli/daemon-control.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { findConfig, stackFolder } from '../cli/session.ts';
import { stackJson, stackLines } from '../cli/stack-words.ts';

export const localStart = defineCommand({
  name: 'local start',
  summary: 'Start the embedded stack',
  details:
    'Runs the functions, state machines, queue, ledger and, where a store uses it, PostgreSQL on this machine, in the\n' +
    'background. Its data and its log (stack.log) stay in the stack folder. Starting it twice starts it once.',
  json: '{status: "started" | "already-running", dir, pid, startedAt, config, endpoints}',
  options: [option('--foreground', 'Stay in the foreground until Ctrl-C, with the log on standard error')],
  examples: [
    { line: 'keyturn local start', says: 'in the background' },
    { line: 'keyturn local start --foreground', says: 'under a process supervisor' },
  ],
  input: z.object({ foreground: z.boolean().default(false) }),
  run: async ({ foreground }, cli) => {
    const configPath = await findConfig(cli);
    const dir = stackFolder(cli, configPath);
    // A mistake in it is shown here, not in a log.
    await loadConfig(configPath);
    if (foreground) return runInForeground(cli, dir, configPath);
    const { status, info } = await startDaemon(dir, configPath);
    cli.out.line(status === 'started' ? 'The stack runs.' : 'The stack runs already.');
    for (const line of stackLines(dir, info)) cli.out.line(line);
    if (info.config !== configPath) {
      cli.out.warn(`it was started with another configuration, ${info.config}: stop it first to change that`);
    }
    cli.out.result({ status, ...stackJson(dir, info) });
    return EXIT_CODES.done.code;
  },
});

async function runInForeground({ out }: Cli, dir: string, configPath: string): Promise<number> {
  await runDaemon({
    dir,
    configPath,
    log: createPinoLog(process.stderr),
    onReady: (info) => {
      out.line('The stack runs. Ctrl-C ends it.');
      for (const line of stackLines(dir, info)) out.line(line);
      out.result({ status: 'started', ...stackJson(dir, info) });
    },
  });
  return EXIT_CODES.done.code;
}
