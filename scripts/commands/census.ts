import { z } from 'zod';
import { keepCensus } from '../../shared/census/keep-census.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { getKey } from '../../shared/rotation/change.ts';
import type { StoredCensus } from '../../shared/rotation/rotation.ts';
import { createCensusProgress } from '../cli/census-progress.ts';
import { censusJson, censusReport, doubts } from '../cli/census-words.ts';
import { CliError } from '../cli/cli-error.ts';
import { type Cli, defineCommand, option, PURPOSE, TENANT } from '../cli/command.ts';
import { countKey } from '../cli/count-key.ts';
import { EXIT_CODES, exitCodeOf } from '../cli/exit-codes.ts';
import { type ShownError, shownError } from '../cli/failures.ts';
import { requestedBy } from '../cli/follow.ts';
import { keyName } from '../cli/job-words.ts';
import type { Output } from '../cli/output.ts';

export const census = defineCommand({
  name: 'census',
  summary: 'Count the key versions of the stored envelopes, now',
  details:
    'Reads the envelopes themselves, strongly consistent, of every record set that the key may serve, and prints by\n' +
    'record set and version how many were read, and what was not read and why: backups never are. It says what was\n' +
    'read, not that a version is unused. The result is kept in the ledger. With --everywhere every row of every declared\n' +
    'table is read, as a purge does. With --completeness, which --everywhere implies, every table of the stores is\n' +
    'searched for columns that hold envelopes and that no record set declares: that reads whole databases.\n' +
    'Where no record set holds fields of the key nothing is read: that proves nothing, and --expect-only-active fails.',
  json: '{censusId, tenant, purpose, keyId, active, takenAt, takenBy, reach, onlyActive, doubts: [...], stale, malformed, foreign, coverage: {recordSet: {store, table, columns, rows, values, versions: {version: count}, foreign, malformed, tombstones, others, onVersionBySearch?}}, excluded: [{store, table, columns, why}], undeclared: [{store, table, column, envelopes, ofKey, onVersion}] | null}; with --all {censuses: [the same, or {tenant, purpose, error}]}',
  options: [
    option(TENANT, 'Whose key'),
    PURPOSE(),
    option('--all', 'Every key').conflicts(['tenant']),
    option('--everywhere', "Read every row of every declared table, also other tenants'"),
    option('--completeness', 'Also look for columns with envelopes that no record set declares'),
    option(
      '--expect-only-active',
      'End with exit code 4 when anything but the active version is found, when nothing was read, when a table that the key served was not, or when columns hold envelopes of the key and nobody declares them',
    ),
  ],
  examples: [
    { line: 'keyturn census --tenant acme', says: 'how many values are on which version' },
    {
      line: 'keyturn census --tenant acme --everywhere --expect-only-active',
      says: 'as a check in a script',
    },
    { line: 'keyturn census --tenant acme --completeness', says: 'is every column declared?' },
  ],
  input: z.object({
    tenant: z.string().optional(),
    purpose: z.string(),
    all: z.boolean().default(false),
    everywhere: z.boolean().default(false),
    completeness: z.boolean().default(false),
    expectOnlyActive: z.boolean().default(false),
  }),
  run: async (input, { out, withSession }: Cli) => {
    const { tenant, purpose, all, expectOnlyActive } = input;
    if ((tenant === undefined) !== all) throw new CliError('USAGE', 'Name one key by --tenant, or say --all');
    return withSession(async ({ deps }) => {
      const failed = (taken: Taken) => expectOnlyActive && taken.doubts.length > 0;
      if (tenant !== undefined) {
        const taken = await take(deps, out, await getKey(deps, tenant, purpose), input);
        out.result(takenJson(taken));
        return failed(taken) ? EXIT_CODES.refused.code : EXIT_CODES.done.code;
      }
      // From the table itself: a list could miss a key that was made just now.
      const keys = (await deps.ledger.scanKeys()).filter(({ active }) => active > 0);
      if (keys.length === 0) out.line('There are no keys to count: nothing was read.');
      const found: (Taken | Failed)[] = [];
      for (const key of keys) {
        const taken = await take(deps, out, key, input).catch(
          (error: unknown): Failed => ({ key, error: shownError(error), exitCode: exitCodeOf(error) }),
        );
        if ('error' in taken) {
          out.line(out.paint('red', `${keyName(key)}: ${taken.error.code}: ${taken.error.message}`));
        }
        out.line();
        found.push(taken);
      }
      out.result({ censuses: found.map((each) => ('error' in each ? failedJson(each) : takenJson(each))) });
      const codes = found.map((each) =>
        'error' in each ? each.exitCode : failed(each) ? EXIT_CODES.refused.code : EXIT_CODES.done.code,
      );
      // Another ledger, region or stage than was meant looks like this.
      if (keys.length === 0 && expectOnlyActive) return EXIT_CODES.refused.code;
      return Math.max(EXIT_CODES.done.code, ...codes);
    });
  },
});

interface Taken {
  readonly stored: StoredCensus;
  readonly doubts: readonly string[];
}

interface Failed {
  readonly key: TenantKey;
  readonly error: ShownError;
  readonly exitCode: number;
}

async function take(
  deps: Deps,
  out: Output,
  key: TenantKey,
  { everywhere, completeness }: { readonly everywhere: boolean; readonly completeness: boolean },
): Promise<Taken> {
  const progress = createCensusProgress(out, `census of ${keyName(key)}`);
  let stored: StoredCensus;
  try {
    const result = await countKey(deps, key, {
      reach: everywhere ? 'everywhere' : 'tenant',
      search: everywhere || completeness,
      takenBy: requestedBy(),
      onPart: (part) => progress.show(part),
    });
    stored = await keepCensus(deps, key, result);
  } finally {
    progress.stop();
  }
  const { result } = stored;
  for (const line of censusReport(key, result)) out.line(line);
  // A census that read no record set of the key proves nothing.
  const ownRead = deps.recordSets.ofKey(key.tenant, key.purpose).some((name) => name in result.coverage);
  const found = doubts(result, ownRead);
  if (found.length === 0) out.line('Nothing but the active version was read.');
  for (const doubt of found) out.line(out.paint('yellow', `${doubt}.`));
  out.line(`Kept as census ${stored.censusId}.`);
  return { stored, doubts: found };
}

function takenJson({ stored, doubts: found }: Taken): object {
  return { ...censusJson(stored), onlyActive: found.length === 0, doubts: found };
}

function failedJson({ key: { tenant, purpose }, error }: Failed): object {
  return { tenant, purpose, error };
}
