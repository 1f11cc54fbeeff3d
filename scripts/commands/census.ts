import { z } from 'zod';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { getKey } from '../../shared/rotation/change.ts';
import type { CensusResult } from '../../shared/rotation/rotation.ts';
import { defineCommand, option, PURPOSE, required, TENANT } from '../cli/command.ts';
import { countKey } from '../cli/count-key.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { count, counted, table, time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import type { Output } from '../cli/output.ts';

export const census = defineCommand({
  name: 'census',
  summary: 'Count the key versions of the stored envelopes, now',
  details:
    'Reads the envelopes themselves, strongly consistent, of every record set that the key may serve, and prints by\n' +
    'record set and version how many were read. It says what was read, not that a version is unused: backups and\n' +
    'other copies are not read. With --everywhere the rows of other tenants are read too, as a purge does. Where no\n' +
    'record set holds fields of the key nothing is read: that proves nothing, and --expect-only-active fails.',
  json: '{tenant, purpose, keyId, active, takenAt, reach, onlyActive, stale, malformed, foreign, coverage: {recordSet: {rows, values, versions: {version: count}, foreign, malformed}}}',
  options: [
    required(TENANT, 'Whose key'),
    PURPOSE(),
    option('--everywhere', "Read every row of the tables, also other tenants'"),
    option(
      '--expect-only-active',
      'End with exit code 4 when anything but the active version is found, or when nothing was read',
    ),
  ],
  examples: [
    { line: 'keyturn census --tenant acme', says: 'how many values are on which version' },
    {
      line: 'keyturn census --tenant acme --everywhere --expect-only-active',
      says: 'as a check in a script',
    },
  ],
  input: z.object({
    tenant: z.string(),
    purpose: z.string(),
    everywhere: z.boolean().default(false),
    expectOnlyActive: z.boolean().default(false),
  }),
  run: ({ tenant, purpose, everywhere, expectOnlyActive }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const key = await getKey(deps, tenant, purpose);
      const { coverage, ...found } = await countKey(deps, key, {
        ...{ reach: everywhere ? 'everywhere' : 'tenant', search: everywhere, takenBy: requestedBy() },
      });
      // A census that read no record set proves nothing.
      const somethingRead = Object.keys(coverage).length > 0;
      const onlyActive = somethingRead && found.stale === 0;
      print(out, key, { coverage, ...found });
      if (onlyActive) out.line('Nothing but the active version was read.');
      else if (somethingRead)
        out.line(out.paint('yellow', `${counted(found.stale, 'value')} not on the active version.`));
      const { keyId, active } = key;
      const { takenAt, reach, stale, malformed, foreign } = found;
      out.result({
        ...{ tenant, purpose, keyId, active, takenAt, reach },
        ...{ onlyActive, stale, malformed, foreign, coverage },
      });
      return expectOnlyActive && !onlyActive ? EXIT_CODES.refused.code : EXIT_CODES.done.code;
    }),
});

function print(out: Output, key: TenantKey, { coverage, reach, takenAt }: CensusResult): void {
  const names = Object.keys(coverage);
  if (names.length === 0) {
    out.line(`No declared record set holds fields of ${keyName(key)}: nothing was read.`);
    return;
  }
  const rows = Object.entries(coverage).flatMap(([recordSet, found]) => {
    const lines = Object.entries(found.versions).map(([version, values]) => [
      version,
      key.versions[version]?.state ?? 'unknown',
      count(values),
    ]);
    if (found.foreign > 0) lines.push(['-', 'another key', count(found.foreign)]);
    if (found.malformed > 0) lines.push(['-', 'no envelope', count(found.malformed)]);
    if (lines.length === 0) lines.push(['-', 'none', '0']);
    const first = [recordSet, count(found.rows), count(found.values)];
    return lines.map((line, i) => [...(i === 0 ? first : ['', '', '']), ...line]);
  });
  const whose = reach === 'everywhere' ? 'every row of these tables' : `the rows of ${key.tenant}`;
  out.line(`Census of ${keyName(key)} at ${time(takenAt)}. These were read, ${whose}:`);
  const headings = ['record set', '>rows', '>values', '>version', 'state', '>found'];
  for (const line of table(headings, rows)) out.line(`  ${line}`);
}
