import { z } from 'zod';
import type { Hold } from '../../shared/keyring/key.ts';
import { currentHolds } from '../../shared/rotation/holds.ts';
import { defineCommand, option, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { counted, table, time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import { listKeysOf } from '../cli/key-words.ts';

export const holdsList = defineCommand({
  name: 'holds list',
  summary: 'List what keeps versions from their destruction',
  details:
    'Prints a line for each hold that stands: BACKUP, a backup of a store may contain the versions until then; RESTORE, a\n' +
    'store is being restored; PERSON, somebody placed it, also one that has ended and was not released. Without --tenant and --all those of backups are only counted:\n' +
    'every retired version has them.',
  json: 'an array of {tenant, purpose, holdId, versions, reason, store, note, by, at, until}',
  options: [option(TENANT, 'Only this tenant'), option('--all', 'Also those of backups, of every tenant')],
  examples: [
    { line: 'keyturn holds list', says: 'of people and restores' },
    { line: 'keyturn holds list --tenant acme', says: 'why is version 1 not destroyed yet?' },
  ],
  input: z.object({ tenant: z.string().optional(), all: z.boolean().default(false) }),
  run: ({ tenant, all }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const keys = await listKeysOf(deps, tenant);
      const standing = keys.flatMap((key) =>
        currentHolds(key, deps.config, deps.clock.now()).map((hold) => ({ key, hold })),
      );
      const whole = all || tenant !== undefined;
      const shown = standing.filter(({ hold }) => whole || hold.reason !== 'BACKUP');
      const rows = shown.map(({ key, hold }) => [
        keyName(key),
        hold.versions.join(', '),
        hold.reason,
        hold.until === null ? 'its release' : time(hold.until),
        hold.holdId,
        why(hold),
      ]);
      if (rows.length > 0) {
        const headings = ['tenant', 'versions', 'reason', 'until', 'hold', 'why'];
        for (const line of table(headings, rows)) out.line(line);
      } else out.line(whole ? 'No hold stands.' : 'No hold of a person or a restore stands.');
      const left = standing.length - shown.length;
      if (left > 0) out.line(`${counted(left, 'hold')} of backups: --all or --tenant shows them.`);
      out.result(
        shown.map(({ key: { tenant: name, purpose }, hold: { endedEpoch: _, ...hold } }) => ({
          ...{ tenant: name, purpose },
          ...hold,
        })),
      );
      return EXIT_CODES.done.code;
    }),
});

function why({ reason, store, note, by, endedEpoch }: Hold): string {
  switch (reason) {
    case 'BACKUP':
      return `backups of ${store ?? ''}`;
    case 'RESTORE':
      return endedEpoch === null
        ? `${store ?? ''} is being restored`
        : `${store ?? ''} was restored, not swept yet`;
    case 'PERSON':
      return `${note ?? ''} (${by})`;
  }
}
