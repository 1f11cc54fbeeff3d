import { z } from 'zod';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { count, table, time } from '../cli/format.ts';
import { backupWords, RESTORE_WORDS, restoreJson } from '../cli/restore-words.ts';

export const restoreList = defineCommand({
  name: 'restore list',
  summary: 'List the registered restores',
  details:
    'Prints a line for each, newest first: its store, the time of its backup, how far it has come, and how many keys it\n' +
    'holds.',
  json: 'an array of {restoreId, store, backupTime, backupEnd, status, keys, requestedBy, begunAt, readyAt, endedAt, refusal}',
  examples: [{ line: 'keyturn restore list', says: 'is one open?' }],
  input: z.object({}),
  run: (_, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const restores = await deps.ledger.listRestores();
      if (restores.length === 0) out.line('No restore was registered.');
      else {
        const rows = restores.map((restore) => [
          restore.restoreId,
          restore.store,
          backupWords(restore),
          time(restore.begunAt),
          restore.keys === null ? '-' : count(restore.keys),
          restore.status,
          RESTORE_WORDS[restore.status],
        ]);
        const headings = ['restore', 'store', 'backup', 'begun', '>keys', 'status', ''];
        for (const line of table(headings, rows)) out.line(line);
        for (const { restoreId, refusal } of restores) {
          if (refusal !== null) out.line(`${restoreId} was refused: ${refusal}`);
        }
      }
      out.result(restores.map(restoreJson));
      return EXIT_CODES.done.code;
    }),
});
