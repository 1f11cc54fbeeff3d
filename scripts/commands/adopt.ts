import { z } from 'zod';
import { adoptedFields, askForAdoptions, tenantsToAdopt } from '../cli/adopt-set.ts';
import { CliError } from '../cli/cli-error.ts';
import { type Cli, defineCommand, NO_WAIT, option, required, TENANT, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { createPlaintextCheck } from '../cli/drop-plaintext.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { exitCodeOfJobs, type Followed, follow } from '../cli/follow.ts';
import { count, counted } from '../cli/format.ts';
import { jobJson, stepOf } from '../cli/job-words.ts';
import type { Session } from '../cli/session.ts';

export const adopt = defineCommand({
  name: 'adopt',
  summary: 'Turn existing plaintext columns into envelopes',
  details:
    'Adds the envelope columns that are missing, makes the keys that are missing, and seals every plaintext value into\n' +
    'its envelope column, by compare-and-set against concurrent updates. Repeating it changes only what came since.\n' +
    'The plaintext stays until a separate --drop-plaintext, which first verifies that every row opens to the same\n' +
    'value and only then drops the columns. An envelope whose plaintext is NULL is a difference too: old code may have\n' +
    'deleted the value. Where the application writes envelopes only, --envelope-only-rows-ok allows it. Adding and\n' +
    'dropping columns is asked for on a terminal, unless --yes; without a terminal dropping needs --yes.',
  json: '{recordSet, columnsAdded, tenants, keysCreated, sealed, skipped, quarantined, remaining, jobs: [{tenant, answer, job} or {tenant, error}]}; with --drop-plaintext {recordSet, dropped: [columns], verified}',
  options: [
    required('--record-set <name>', 'A record set of the configuration'),
    option(TENANT, 'Only the rows of this tenant'),
    option('--drop-plaintext', 'Verify every row, then drop the plaintext columns').conflicts(['tenant']),
    option(
      '--envelope-only-rows-ok',
      'With --drop-plaintext: an envelope whose plaintext is NULL is not a deleted value',
    ),
    NO_WAIT(),
    YES(),
  ],
  examples: [
    { line: 'keyturn adopt --record-set customers', says: 'seal the plaintext of every tenant' },
    { line: 'keyturn adopt --record-set customers --tenant acme', says: 'of one tenant' },
    {
      line: 'keyturn adopt --record-set customers --drop-plaintext',
      says: 'when the application reads the envelopes',
    },
  ],
  input: z.object({
    recordSet: z.string(),
    tenant: z.string().optional(),
    dropPlaintext: z.boolean().default(false),
    envelopeOnlyRowsOk: z.boolean().default(false),
    wait: z.boolean(),
    yes: z.boolean().default(false),
  }),
  asks: ({ tenant, recordSet }) => ({ tenant, recordSet }),
  run: async (input, cli) => {
    if (input.envelopeOnlyRowsOk && !input.dropPlaintext)
      throw new CliError('USAGE', '--envelope-only-rows-ok goes with --drop-plaintext only');
    return cli.withSession((session) =>
      input.dropPlaintext ? dropPlaintext(input, cli, session) : seal(input, cli, session),
    );
  },
});

interface Input {
  readonly recordSet: string;
  readonly tenant?: string | undefined;
  readonly envelopeOnlyRowsOk: boolean;
  readonly wait: boolean;
  readonly yes: boolean;
}

const NOTHING = {
  ...{ columnsAdded: [], tenants: 0, keysCreated: 0, sealed: 0, skipped: 0, quarantined: 0, remaining: 0 },
  jobs: [],
};

async function seal(
  { recordSet, tenant, wait, yes }: Input,
  { out }: Cli,
  { deps }: Session,
): Promise<number> {
  const { table } = deps.recordSets.config(recordSet);
  const fields = adoptedFields(deps, recordSet);
  const store = deps.recordSets.store(recordSet);
  if (!(await store.hasPlaintext())) {
    await store.check();
    out.line(`Table ${table} has none of the plaintext columns any more; there is nothing to adopt.`);
    out.result({ ...NOTHING, recordSet });
    return EXIT_CODES.done.code;
  }
  const columns = fields.map(({ column, plaintextColumn }) => `${column} (from ${plaintextColumn})`);
  out.line(`Envelope columns of table ${table}: ${columns.join(', ')}`);
  if (out.canAsk) await confirm(out, `Those that are missing will be added to ${table}.`, yes);
  const columnsAdded = await store.prepareAdoption();
  if (columnsAdded.length > 0) out.line(`Added to table ${table}: ${columnsAdded.join(', ')}`);
  const tenants = await tenantsToAdopt(deps, recordSet, tenant);
  if (tenants.length === 0) out.line(`Table ${table} has no rows; there is nothing to adopt.`);
  const { keysCreated, asked } = await askForAdoptions(deps, out, recordSet, tenants);
  if (keysCreated > 0) out.line(`Made ${counted(keysCreated, 'key')}.`);

  const requests = asked.flatMap((each) => (each.ok ? [each.request] : []));
  const followed = await follow(deps, out, requests, wait);
  const sum = (pick: (each: Followed) => number) => followed.reduce((total, each) => total + pick(each), 0);
  const sealed = sum(({ counts }) => counts.rewrapped);
  const skipped = sum(({ counts }) => counts.skipped);
  const quarantined = sum(({ counts }) => counts.quarantined);
  const remaining = sum(({ counts }) => counts.remaining);
  const failed = asked.flatMap((each) => (each.ok ? [] : [each]));
  if (wait) {
    out.line(
      `${recordSet}: ${counted(sealed, 'record')} sealed, ${count(skipped)} skipped, ${count(quarantined)} quarantined, of ${counted(tenants.length, 'tenant')}`,
    );
    const clean = failed.length === 0 && followed.every(({ job }) => job.status === 'COMPLETED');
    if (clean && tenants.length > 0) {
      out.line('The plaintext is still there. When your application reads the envelopes:');
      out.line(`  keyturn adopt --record-set ${recordSet} --drop-plaintext`);
    }
  } else {
    for (const { job } of followed)
      out.line(`${job.tenant}: ${stepOf(job)}. \`keyturn status --watch\` shows it.`);
  }
  for (const { job } of followed) {
    if (job.status === 'BLOCKED' || job.status === 'PAUSED')
      out.line(out.paint('red', `${job.tenant}: ${stepOf(job)}`));
  }
  for (const { subject, error } of failed) {
    out.line(out.paint('red', `${subject}: ${error.code}: ${error.message}`));
  }
  out.result({
    ...{
      recordSet,
      columnsAdded,
      tenants: tenants.length,
      keysCreated,
      sealed,
      skipped,
      quarantined,
      remaining,
    },
    jobs: [
      ...followed.map(({ request, job, counts }) => ({
        tenant: job.tenant,
        answer: request.answer,
        job: jobJson(job, counts),
      })),
      ...failed.map(({ subject, error }) => ({ tenant: subject, error })),
    ],
  });
  return Math.max(exitCodeOfJobs(followed.map(({ job }) => job)), ...failed.map(({ exitCode }) => exitCode));
}

const LINE_EVERY_ROWS = 100_000;

async function dropPlaintext(
  { recordSet, envelopeOnlyRowsOk, yes }: Input,
  { out }: Cli,
  { deps }: Session,
): Promise<number> {
  const { table } = deps.recordSets.config(recordSet);
  const fields = adoptedFields(deps, recordSet);
  const store = deps.recordSets.store(recordSet);
  if (!(await store.hasPlaintext())) {
    out.line(`Table ${table} has none of the plaintext columns any more; there is nothing to drop.`);
    out.result({ recordSet, dropped: [], verified: 0 });
    return EXIT_CODES.done.code;
  }
  const columns = fields.map(({ plaintextColumn }) => plaintextColumn).join(', ');
  await confirm(
    out,
    `Every row of ${table} is verified, then ${columns} dropped. Backups alone have it then.`,
    yes,
  );
  let verified = 0;
  let printed = 0;
  const dropped = await store.dropPlaintext(
    createPlaintextCheck(deps, recordSet, { envelopeOnlyRowsOk }),
    (rows) => {
      verified = rows;
      if (rows - printed < LINE_EVERY_ROWS) return;
      printed = rows;
      out.progress(`${counted(rows, 'row')} verified`);
    },
  );
  out.line(
    out.paint(
      'green',
      `Verified ${counted(verified, 'row')}, then dropped ${dropped.join(', ')} of table ${table}.`,
    ),
  );
  out.result({ recordSet, dropped, verified });
  return EXIT_CODES.done.code;
}
