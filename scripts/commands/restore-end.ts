import { z } from 'zod';
import { endRestore, type RestoredKey } from '../../shared/rotation/end-restore.ts';
import { getRestore } from '../../shared/rotation/restore-change.ts';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { count, counted, time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import type { Output } from '../cli/output.ts';
import { keyProgress, restoreJson } from '../cli/restore-words.ts';

export const restoreEnd = defineCommand({
  name: 'restore end',
  summary: 'Say that all rows of a restore are back',
  details:
    'Counts the records of each key in the restored store and asks for a sweep that brings them to the active version. The\n' +
    'sweep frees the versions that the restore holds; `keyturn status` shows the sweeps. Records on a version that their\n' +
    'key does not have, or that is destroyed, are named, with exit code 4. Also when no row was restored after all: then\n' +
    'the sweeps find nothing. Stopped in the middle, the same command goes on.',
  json: '{restore: {restoreId, store, status, …}, keys: [{tenant, purpose, count: {rows, values, versions, …}, unknown, destroyed, sweep, jobId}], failed: [{tenant, purpose, code}]}',
  arguments: [{ name: '<restore>', description: 'Its id: `keyturn restore list`' }],
  examples: [
    {
      line: 'keyturn restore end 0f0c3a5e-8c53-5d0c-9b1f-6a1d5f7f2b11',
      says: 'after pg_restore',
    },
  ],
  input: z.object({ restore: z.string() }),
  asks: ({ restore }) => ({ restoreId: restore }),
  run: ({ restore: id }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const before = await getRestore(deps, id);
      const ended = await endRestore(deps, id, requestedBy(), keyProgress(out, 'counted'));
      const { restore, keys, failed } = ended;
      if (failed.length === 0) {
        const over = before.endedAt === null ? 'is over' : `had ended at ${time(before.endedAt)}`;
        out.line(out.paint('green', `Restore ${id} of store ${restore.store} ${over}.`));
        // Repeated, it asks again for the sweeps that have not freed their versions yet, if there are any.
        if (before.endedAt === null || keys.length > 0)
          out.line(`  swept   ${counted(keys.length, 'key')} once more; until then their versions stay held`);
      } else {
        out.line(out.paint('red', `Restore ${id} is not over: ${counted(failed.length, 'key')} failed.`));
        for (const { code, ...key } of failed) out.line(`  ${keyName(key)}: ${code}`);
        out.line('  Repeat the command when the reason is gone. Their versions stay held.');
      }
      for (const key of keys) printFound(out, key);
      out.result({ restore: restoreJson(restore), keys, failed });
      const lost = keys.some(({ unknown, destroyed }) => unknown.length + destroyed.length > 0);
      return failed.length > 0 || lost ? EXIT_CODES.refused.code : EXIT_CODES.done.code;
    }),
});

/** Nothing of a key whose records came back as they should: there may be ten thousand. */
function printFound(out: Output, { unknown, destroyed, count: found, ...key }: RestoredKey): void {
  const at = (versions: readonly number[]) =>
    versions.map((version) => `${count(found.versions[String(version)] ?? 0)} on ${version}`).join(', ');
  if (unknown.length > 0) {
    const line = `${keyName(key)} has values on versions that it does not have (${at(unknown)}): the ledger is older than they are`;
    out.line(out.paint('red', line));
  }
  if (destroyed.length > 0) {
    const line = `${keyName(key)} has values on versions that are destroyed (${at(destroyed)}): they are from another backup than the one that was registered`;
    out.line(out.paint('red', line));
  }
}
