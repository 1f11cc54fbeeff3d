import { z } from 'zod';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { ROTATION_MODES } from '../../shared/rotation/rotation.ts';
import { CliError } from '../cli/cli-error.ts';
import { type Cli, defineCommand, NO_WAIT, option, PURPOSE, TENANT } from '../cli/command.ts';
import { type Asked, askAll, exitCodeOfJobs, type Followed, follow, requestedBy } from '../cli/follow.ts';
import { time } from '../cli/format.ts';
import { censusLines, countsLine, jobJson, keyName, pauseWords, stepOf, tookLine } from '../cli/job-words.ts';
import type { Output } from '../cli/output.ts';

type KeyName = Pick<TenantKey, 'tenant' | 'purpose'>;

export const rotate = defineCommand({
  name: 'rotate',
  summary: 'Rotate a key, or all of them',
  details:
    'Makes, proves and activates a new version, rewraps the records, waits for the propagation barrier, and counts by\n' +
    'reading every envelope. Shows the progress to the end, then the counts, what the census read, and when the old\n' +
    'version may be purged. A rotation that runs already is joined. Ctrl-C leaves it running in the stack.\n' +
    'Ends with exit code 4 when a rotation is BLOCKED, and asking again takes it up from there; or PAUSED, because its\n' +
    'root key cannot be used, and then it goes on by itself when that is enabled.',
  json: '{answer: "started" | "running" | "resumed" | "completed" | "paused", job: {jobId, status, from, to, progress, census, purgeNotBefore, blocker, pause, …}}; with --all {rotations: [the same, or {tenant, purpose, error}]}',
  options: [
    option(TENANT, 'Whose key'),
    PURPOSE(),
    option('--all', 'Every key').conflicts(['tenant']),
    option('--mode <mode>', 'rewrap: new wrapping, same data keys; re-encrypt: new data keys too').choices(
      ROTATION_MODES,
    ),
    NO_WAIT(),
  ],
  examples: [
    { line: 'keyturn rotate --tenant acme', says: 'and watch it to its end' },
    { line: 'keyturn rotate --tenant acme --mode re-encrypt', says: 'new data keys too' },
    { line: 'keyturn rotate --all --no-wait --json', says: 'from a schedule' },
  ],
  input: z.object({
    tenant: z.string().optional(),
    purpose: z.string(),
    all: z.boolean().default(false),
    mode: z.enum(ROTATION_MODES).optional(),
    wait: z.boolean(),
  }),
  run: async ({ tenant, purpose, all, mode, wait }, { out, withSession }: Cli) => {
    if ((tenant === undefined) !== all) throw new CliError('USAGE', 'Name one key by --tenant, or say --all');
    return withSession(async ({ deps }) => {
      const ask = (key: KeyName) =>
        requestRotation(deps, {
          tenant: key.tenant,
          purpose: key.purpose,
          requestedBy: requestedBy(),
          ...(mode !== undefined && { mode }),
        });
      if (tenant !== undefined) {
        const request = await ask({ tenant, purpose });
        announce(out, request.answer);
        const followed = await follow(deps, out, [request], wait);
        for (const each of followed) report(out, each);
        const [only] = followed;
        out.result({
          answer: request.answer,
          job: only === undefined ? null : jobJson(only.job, only.counts),
        });
        return exitCodeOfJobs(followed.map(({ job }) => job));
      }
      // A key whose making was interrupted has nothing to rotate yet.
      const keys = (await deps.ledger.listKeys()).filter(({ active }) => active > 0);
      if (keys.length === 0) out.line('There are no keys to rotate.');
      const asked = await askAll<KeyName>(keys, ask);
      const requests = asked.flatMap((each) => (each.ok ? [each.request] : []));
      const followed = await follow(deps, out, requests, wait);
      for (const each of followed) report(out, each);
      reportFailed(out, asked);
      out.result({ rotations: rotationsJson(asked, followed) });
      const failed = asked.flatMap((each) => (each.ok ? [] : [each.exitCode]));
      return Math.max(exitCodeOfJobs(followed.map(({ job }) => job)), ...failed);
    });
  },
});

function announce(out: Output, answer: Followed['request']['answer']): void {
  if (answer === 'running') out.line('A rotation of this key runs already; this follows it.');
  if (answer === 'resumed') out.line('The last rotation had stopped; this takes it up again.');
}

function report(out: Output, { job, counts }: Followed): void {
  const name = keyName(job);
  if (job.status === 'BLOCKED') {
    out.line(out.paint('red', `Rotation of ${name} is BLOCKED: ${job.blocker?.code ?? 'no code'}`));
    out.line(`  why      ${job.blocker?.message ?? 'no reason was written down'}`);
    out.line(`  records  ${countsLine('rotate', counts)}`);
    out.line('  Both versions stay. Remove the cause, then ask again: it goes on from there.');
    return;
  }
  if (job.status === 'PAUSED') {
    out.line(out.paint('yellow', `Rotation of ${name} is ${pauseWords(job)}.`));
    out.line(`  records  ${countsLine('rotate', counts)}`);
    out.line('  Both versions stay, and no record has failed. Asking again looks at the root key again.');
    return;
  }
  if (job.status !== 'COMPLETED') {
    out.line(`${name}: ${stepOf(job)} (job ${job.jobId}). \`keyturn status --watch\` shows it.`);
    return;
  }
  out.line(out.paint('green', `Rotated ${name}: version ${job.from} -> ${job.to} (${job.mode})`));
  out.line(`  records  ${countsLine('rotate', counts)}`);
  for (const line of censusLines(job)) out.line(`  census   ${line}`);
  if (job.census !== null)
    out.line(`           taken at ${time(job.census.takenAt)}, of the rows of ${job.tenant}`);
  const took = tookLine(job, counts);
  if (took !== null) out.line(`  took     ${took}`);
  if (job.purgeNotBefore !== null) {
    out.line(
      `  purge    version ${job.from} decrypts on, and may be purged from ${time(job.purgeNotBefore)} on`,
    );
  }
  if (counts.quarantined > 0) {
    out.line(
      out.paint(
        'yellow',
        `  ${counts.quarantined} quarantined: they block that purge. \`keyturn quarantine list\``,
      ),
    );
  }
}

function reportFailed(out: Output, asked: readonly Asked<KeyName>[]): void {
  for (const each of asked) {
    if (!each.ok)
      out.line(out.paint('red', `${keyName(each.subject)}: ${each.error.code}: ${each.error.message}`));
  }
}

function rotationsJson(asked: readonly Asked<KeyName>[], followed: readonly Followed[]): object[] {
  const jobs = new Map(followed.map((each) => [each.request, each]));
  return asked.map((each) => {
    const { tenant, purpose } = each.subject;
    if (!each.ok) return { tenant, purpose, error: each.error };
    const found = jobs.get(each.request);
    const { job, counts } = found ?? { job: each.request.job, counts: null };
    return { tenant, purpose, answer: each.request.answer, job: jobJson(job, counts) };
  });
}
