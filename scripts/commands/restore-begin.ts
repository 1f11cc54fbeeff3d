import { z } from 'zod';
import { beginRestore } from '../../shared/rotation/begin-restore.ts';
import { timestamp } from '../../shared/rotation/change.ts';
import { CliError } from '../cli/cli-error.ts';
import { defineCommand, option, required } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { counted } from '../cli/format.ts';
import { parseTime } from '../cli/parse-time.ts';
import { backupWords, keyProgress, restoreJson } from '../cli/restore-words.ts';

export const restoreBegin = defineCommand({
  name: 'restore begin',
  summary: 'Register the restore of a store, before a row of its backup is visible',
  details:
    'Holds, for every key that the store serves or served, each version that is not destroyed: until the restore is over none\n' +
    'of them is, and a purge that is under way is called off. Refused with exit code 4, before anything is changed, when the\n' +
    'backup may need a version that is destroyed: the keys and versions are named. Restore only once it says so. Stopped in\n' +
    'the middle, the same command goes on. A restore of the ledger itself is none of these.\n' +
    '\n' +
    'A physical backup (pg_basebackup, snapshots of volumes) has the rows as they were at its end: give that, too. Left out, a\n' +
    'version that was made while the backup was being taken, and is destroyed by now, is not noticed: what is on it comes back\n' +
    'and can never be read; `keyturn restore end` names it. A logical dump (pg_dump) has the rows as they were at its begin.',
  json: '{restoreId, store, backupTime, backupEnd, status, keys, requestedBy, begunAt, readyAt, endedAt, refusal, fenceLeft}',
  options: [
    required('--store <name>', 'Which store, by its name in the configuration'),
    required(
      '--backup-time <time>',
      'When the backup began, or the point in time that is restored to, such as 2026-03-01T04:00:00Z',
    ),
    option(
      '--backup-end <time>',
      'When the backup ended: of a physical one, which is consistent at its end. Left out: it is as of --backup-time',
    ),
  ],
  examples: [
    {
      line: 'keyturn restore begin --store main --backup-time 2026-03-01T04:00:00Z',
      says: 'before pg_restore',
    },
    {
      line: 'keyturn restore begin --store main --backup-time 2026-03-01T04:00:00Z --backup-end 2026-03-01T05:10:00Z',
      says: 'before the files of pg_basebackup are put in place',
    },
  ],
  input: z.object({ store: z.string(), backupTime: z.string(), backupEnd: z.string().optional() }),
  asks: ({ store }) => ({ store }),
  run: ({ store, ...given }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const backupTime = parseTime(given.backupTime);
      const backupEnd = given.backupEnd === undefined ? backupTime : parseTime(given.backupEnd);
      const latest = timestamp(deps.clock.now() + deps.config.rotation.clockSkewSeconds * 1000);
      if (backupTime > latest) throw wrongTime(`--backup-time ${given.backupTime} is in the future`);
      if (backupEnd > latest) throw wrongTime(`--backup-end ${given.backupEnd} is in the future`);
      if (backupEnd < backupTime) throw wrongTime(`--backup-end ${given.backupEnd} is before --backup-time`);
      const request = { store, backupTime, backupEnd, requestedBy: requestedBy() };
      const { restore, fenceLeft } = await beginRestore(deps, request, keyProgress(out, 'held'));
      out.line(out.paint('green', `Restore ${restore.restoreId} is registered: you may restore now.`));
      out.line(`  store   ${restore.store}, backup of ${backupWords(restore)}`);
      out.line(
        restore.keys === 0
          ? '  held    nothing: the store serves no key'
          : `  held    every version that is not destroyed, of ${counted(restore.keys ?? 0, 'key')}`,
      );
      out.line('  then    when all rows are back:');
      out.line(`          keyturn restore end ${restore.restoreId}`);
      if (fenceLeft !== null) {
        out.warn(
          `a database is out of reach (${fenceLeft}), so its fence, if it has one, is not lowered. Repeat this command before rows are written through it.`,
        );
      }
      out.result({ ...restoreJson(restore), fenceLeft });
      return EXIT_CODES.done.code;
    }),
});

function wrongTime(message: string): CliError {
  return new CliError('INPUT_INVALID', message, {
    remedy: 'Give the times at which the backup began and ended, in UTC, such as 2026-03-01T04:00:00Z.',
  });
}
