import { z } from 'zod';
import { abortRestore } from '../../shared/rotation/restore-abort.ts';
import { defineCommand, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { keyProgress, restoreJson } from '../cli/restore-words.ts';

export const restoreAbort = defineCommand({
  name: 'restore abort',
  summary: 'Call off a restore that was not ready yet',
  details:
    'Releases its holds. Only while `keyturn restore begin` has not said that you may restore; after that the rows may be\n' +
    'back, and `keyturn restore end` finds out. On a terminal it asks first, unless --yes.',
  json: '{restoreId, store, backupTime, backupEnd, status, keys, requestedBy, begunAt, readyAt, endedAt, refusal}',
  arguments: [{ name: '<restore>', description: 'Its id: `keyturn restore list`' }],
  options: [YES()],
  examples: [
    { line: 'keyturn restore abort 0f0c3a5e-8c53-5d0c-9b1f-6a1d5f7f2b11 --yes', says: 'in a script' },
  ],
  input: z.object({ restore: z.string(), yes: z.boolean().default(false) }),
  asks: ({ restore }) => ({ restoreId: restore }),
  run: ({ restore: id, yes }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      await confirm(out, 'This releases the versions of a backup of which no row may be back.', yes);
      const restore = await abortRestore(deps, id, keyProgress(out, 'released'));
      out.line(`Restore ${id} of store ${restore.store} is called off; its holds are released.`);
      out.result(restoreJson(restore));
      return EXIT_CODES.done.code;
    }),
});
