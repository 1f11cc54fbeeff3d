import { z } from 'zod';
import { getKey } from '../../shared/rotation/change.ts';
import { censusJson } from '../cli/census-words.ts';
import { CliError } from '../cli/cli-error.ts';
import { type Cli, defineCommand, option, PURPOSE, TENANT, wholeNumber } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { count, table, time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';

export const censusList = defineCommand({
  name: 'census list',
  summary: 'List the censuses of a key that were kept',
  details:
    'Newest first: those that somebody asked for, of each round of a rotation, and of each purge. `census show` has what\n' +
    'one of them read and what it did not.',
  json: 'an array of {censusId, keyId, tenant, purpose, active, version, restoreEpoch, jobId, attempt, round, takenAt, takenBy, reach, coverage, excluded, undeclared, onVersion, stale, malformed, foreign}',
  options: [
    option(TENANT, 'Whose key; needed'),
    PURPOSE(),
    option('--limit <number>', 'At most so many').argParser(wholeNumber).default(20),
  ],
  examples: [{ line: 'keyturn census list --tenant acme', says: 'when was it counted, and by whom?' }],
  input: z.object({ tenant: z.string().optional(), purpose: z.string(), limit: z.number() }),
  run: async ({ tenant, purpose, limit }, { out, withSession }: Cli) => {
    if (tenant === undefined) throw new CliError('USAGE', 'Name the key by --tenant');
    return withSession(async ({ deps }) => {
      const key = await getKey(deps, tenant, purpose);
      const censuses = await deps.ledger.listStoredCensuses(key.keyId, limit);
      if (censuses.length === 0) out.line(`No census of ${keyName(key)} was kept.`);
      else {
        const rows = censuses.map(({ censusId, version, result }) => [
          time(result.takenAt),
          result.reach,
          count(Object.values(result.coverage).reduce((sum, { rows: read }) => sum + read, 0)),
          count(result.stale),
          `${version}: ${count(result.onVersion)}`,
          result.undeclared === null ? '-' : count(result.undeclared.length),
          censusId,
          result.takenBy,
        ]);
        const headings = ['taken', 'reach', '>rows', '>stale', '>on version', '>undeclared', 'census', 'by'];
        for (const line of table(headings, rows)) out.line(line);
      }
      out.result(censuses.map(censusJson));
      return EXIT_CODES.done.code;
    });
  },
});
