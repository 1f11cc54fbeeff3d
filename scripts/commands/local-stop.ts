import { z } from 'zod';
import { readStackInfo } from '../../local/stack-info.ts';
import { defineCommand } from '../cli/command.ts';
import { stopDaemon } from '../cli/daemon-control.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { findStackFolder } from '../cli/session.ts';

export const localStop = defineCommand({
  name: 'local stop',
  summary: 'Stop the embedded stack',
  details:
    'Ends it in an orderly way and waits until it is gone. What was running goes on at the next start. Stopping a\n' +
    'stack that does not run is no error.',
  json: '{status: "stopped" | "killed" | "not-running", dir, pid}',
  examples: [{ line: 'keyturn local stop', says: 'the data stay in the folder' }],
  input: z.object({}),
  run: async (_, cli) => {
    const dir = await findStackFolder(cli);
    const info = await readStackInfo(dir);
    const status = info === null ? 'not-running' : await stopDaemon(info);
    if (status === 'killed') cli.out.warn(`the stack (pid ${info?.pid}) did not end in time and was killed`);
    cli.out.line(info === null ? `No stack runs in ${dir}.` : 'The stack has ended.');
    cli.out.result({ status, dir, pid: info?.pid ?? null });
    return EXIT_CODES.done.code;
  },
});
