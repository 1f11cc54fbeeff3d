import { z } from 'zod';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { getKey } from '../../shared/rotation/change.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { ROTATION_MODES } from '../../shared/rotation/rotation.ts';
import { CliError } from '../cli/cli-error.ts';
import {
  type Cli,
  defineCommand,
  NO_WAIT,
  option,
  PURPOSE,
  RATE,
  rateOrNone,
  TENANT,
} from '../cli/command.ts';
import { runDryRuns } from '../cli/dry-run.ts';
import { type Asked, askAll, exitCodeOfJobs, type Followed, follow, requestedBy } from '../cli/follow.ts';
import { jobJson, keyName, nameOf } from '../cli/job-words.ts';
import type { Output } from '../cli/output.ts';
import { tellingRefusal } from '../cli/refused.ts';
import { reportRotation } from '../cli/rotation-words.ts';

type KeyName = Pick<TenantKey, 'tenant' | 'purpose'>;

export const rotate = defineCommand({
  name: 'rotate',
  summary: 'Rotate a key, or all of them',
  details:
    'Makes, proves and activates a new version, rewraps the records, waits for the propagation barrier, and counts by\n' +
    'reading every envelope. Shows the progress to the end, then the counts, what the census read, and when the old\n' +
    'version may be purged. A rotation that runs already is joined. Ctrl-C leaves it running in the stack.\n' +
    'Ends with exit code 4 when a rotation is BLOCKED, and asking again takes it up from there; PAUSED by a person\n' +
    '(`keyturn resume`), or for its root key, and then it goes on by itself when that is enabled; or CANCELLED.\n' +
    'With --dry-run it changes nothing, and ends with exit code 4 when something stops the rotation itself.',
  json: '{answer: "started" | "running" | "resumed" | "completed" | "paused", job: {jobId, status, from, to, progress, census, purgeNotBefore, blocker, pause, …}}; with --all {rotations: [the same, or {tenant, purpose, error}]}; with --dry-run {tenant, purpose, keyId, from, to, records, values, unreadable, loads, requests, price, prices, time, obstacles, census}, with --all {dryRuns: [the same]}',
  options: [
    option(TENANT, 'Whose key'),
    PURPOSE(),
    option('--all', 'Every key').conflicts(['tenant']),
    option('--mode <mode>', 'rewrap: new wrapping, same data keys; re-encrypt: new data keys too').choices(
      ROTATION_MODES,
    ),
    option('--records-per-second <n>', 'Most records a second, or none. Left out: as configured').argParser(
      rateOrNone,
    ),
    option(
      '--dry-run',
      'Change nothing: count, and say what it would ask for, cost and take, and what would block it',
    ),
    NO_WAIT(),
  ],
  examples: [
    { line: 'keyturn rotate --tenant acme', says: 'and watch it to its end' },
    { line: 'keyturn rotate --tenant acme --dry-run', says: 'what would it do, cost and take?' },
    { line: 'keyturn rotate --tenant acme --mode re-encrypt', says: 'new data keys too' },
    { line: 'keyturn rotate --all --no-wait --json', says: 'from a schedule' },
  ],
  input: z.object({
    tenant: z.string().optional(),
    purpose: z.string(),
    all: z.boolean().default(false),
    mode: z.enum(ROTATION_MODES).optional(),
    recordsPerSecond: RATE.optional(),
    dryRun: z.boolean().default(false),
    wait: z.boolean(),
  }),
  asks: ({ tenant, purpose, dryRun }) => (dryRun ? null : { tenant, purpose }),
  run: async ({ tenant, purpose, all, mode, recordsPerSecond, dryRun, wait }, { out, withSession }: Cli) => {
    if ((tenant === undefined) !== all) throw new CliError('USAGE', 'Name one key by --tenant, or say --all');
    return withSession(async ({ deps }) => {
      if (dryRun) {
        const keys =
          tenant === undefined
            ? (await deps.ledger.listKeys()).filter(({ active }) => active > 0)
            : [await getKey(deps, tenant, purpose)];
        return runDryRuns(deps, out, keys, { all, recordsPerSecond });
      }
      const ask = (key: KeyName) =>
        requestRotation(deps, {
          tenant: key.tenant,
          purpose: key.purpose,
          requestedBy: requestedBy(),
          ...(mode !== undefined && { mode }),
          ...(recordsPerSecond !== undefined && { recordsPerSecond }),
        });
      if (tenant !== undefined) {
        const request = await ask({ tenant, purpose });
        announce(out, request);
        const followed = await follow(deps, out, [request], wait);
        for (const each of followed) reportRotation(out, each);
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
      const asked = await askAll<KeyName>(keys, (key) =>
        tellingRefusal(deps, out, 'rotate', { tenant: key.tenant, purpose: key.purpose }, () => ask(key)),
      );
      const requests = asked.flatMap((each) => (each.ok ? [each.request] : []));
      const followed = await follow(deps, out, requests, wait);
      for (const each of followed) reportRotation(out, each);
      reportFailed(out, asked);
      out.result({ rotations: rotationsJson(asked, followed) });
      const failed = asked.flatMap((each) => (each.ok ? [] : [each.exitCode]));
      return Math.max(exitCodeOfJobs(followed.map(({ job }) => job)), ...failed);
    });
  },
});

function announce(out: Output, { answer, job }: Followed['request']): void {
  const name = keyName(job);
  if (answer === 'running' && job.goal === 'NEW_VERSION')
    out.line('A rotation of this key runs already; this follows it.');
  if (answer === 'running' && job.goal !== 'NEW_VERSION')
    out.line(
      `"${nameOf(job)}" runs; this follows it. When it has ended, ask again for a new version of ${name}.`,
    );
  if (answer === 'resumed') out.line(`"${nameOf(job)}" had stopped; this takes it up again.`);
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
