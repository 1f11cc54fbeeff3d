import { z } from 'zod';
import { beginRestore } from '../../shared/rotation/begin-restore.ts';
import { CliError } from '../cli/cli-error.ts';
import { defineCommand, required } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { counted, time } from '../cli/format.ts';
import { parseTime } from '../cli/parse-time.ts';
import { keyProgress, restoreJson } from '../cli/restore-words.ts';

export const restoreBegin = defineCommand({
  name: 'restore begin',
  summary: 'Register the restore of a store, before a row of its backup is visible',
  details:
    'Holds, for every key that the store serves or served, each version that the backup may contain: until the restore is\n' +
    'over none of them is destroyed, and a purge that is under way is called off. Refused with exit code 4, before anything\n' +
    'is changed, when the backup may need a version that is destroyed: the keys and versions are named. Restore only once\n' +
    'it says so. Stopped in the middle, the same command goes on. A restore of the ledger itself is none of these.',
  json: '{restoreId, store, backupTime, status, keys, requestedBy, begunAt, readyAt, endedAt, refusal, fenceLeft}',
  options: [
    required('--store <name>', 'Which store, by its name in the configuration'),
    required(
      '--backup-time <time>',
      'When the backup began, or the point in time that is restored to, such as 2026-03-01T04:00:00Z',
    ),
  ],
  examples: [
    {
      line: 'keyturn restore begin --store main --backup-time 2026-03-01T04:00:00Z',
      says: 'before pg_restore',
    },
  ],
  input: z.object({ store: z.string(), backupTime: z.string() }),
  asks: ({ store }) => ({ store }),
  run: ({ store, backupTime }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const skew = deps.config.rotation.clockSkewSeconds * 1000;
      if (Date.parse(parseTime(backupTime)) > deps.clock.now() + skew) {
        throw new CliError('INPUT_INVALID', `--backup-time ${backupTime} is in the future`, {
          remedy: 'Give the time at which the backup began, in UTC, such as 2026-03-01T04:00:00Z.',
        });
      }
      const request = { store, backupTime: parseTime(backupTime), requestedBy: requestedBy() };
      const { restore, fenceLeft } = await beginRestore(deps, request, keyProgress(out, 'held'));
      out.line(out.paint('green', `Restore ${restore.restoreId} is registered: you may restore now.`));
      out.line(`  store   ${restore.store}, backup of ${time(restore.backupTime)}`);
      out.line(
        restore.keys === 0
          ? '  held    nothing: no key that the store serves is older than the backup'
          : `  held    every version that it may contain, of ${counted(restore.keys ?? 0, 'key')}`,
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
