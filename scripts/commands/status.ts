import { z } from 'zod';
import type { Deps } from '../../shared/deps/deps.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import { isRunning, type JobStatus } from '../../shared/rotation/rotation.ts';
import { defineCommand, option, TENANT, wholeNumber } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { count, table, time } from '../cli/format.ts';
import { jobJson, keyName, limitWords, nameOf, recordsOf, stepOf } from '../cli/job-words.ts';
import { listKeysOf } from '../cli/key-words.ts';
import type { Output, Style } from '../cli/output.ts';
import { type Overview, readOverview } from '../cli/overview.ts';

const REFRESH_MS = 1_000;

export const status = defineCommand({
  name: 'status',
  summary: 'Show jobs, quarantine and versions in grace',
  details:
    'Prints the jobs (running ones first) with progress, blockers, who paused or cancelled them, and limits, how many values are quarantined, and the\n' +
    'versions in grace with the dates from which they may be purged. --watch refreshes until Ctrl-C; with --json it\n' +
    'prints one line each time.',
  json: '{jobs: [{jobId, kind, tenant, purpose, status, progress, blocker, calledOff, …}], olderJobs, quarantined: [{tenant, purpose, values}], inGrace: [{tenant, purpose, version, state, purgeNotBefore}]}',
  options: [
    option('--watch', 'Refresh every second until Ctrl-C'),
    option(TENANT, 'Only this tenant'),
    option('--limit <count>', 'Finished jobs to show').argParser(wholeNumber).default(10),
  ],
  examples: [
    { line: 'keyturn status', says: 'what runs, what is blocked, what is in grace' },
    { line: 'keyturn status --watch --tenant acme', says: 'one tenant, live' },
  ],
  input: z.object({ watch: z.boolean().default(false), tenant: z.string().optional(), limit: z.number() }),
  run: ({ watch, tenant, limit }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const read = async () => readOverview(deps, await listKeysOf(deps, tenant), limit);
      if (!watch) {
        show(out, await read());
        return EXIT_CODES.done.code;
      }
      await refresh(out, deps, read);
      return EXIT_CODES.done.code;
    }),
});

/** Until Ctrl-C, which is this view's ordinary end. */
async function refresh(out: Output, deps: Deps, read: () => Promise<Overview>): Promise<void> {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  while (!abort.signal.aborted) {
    const next = await read().catch((error: unknown) => {
      if (error instanceof KeyturnError && error.retryable) return error;
      throw error;
    });
    if (abort.signal.aborted) return;
    out.clear();
    if (next instanceof Error) out.warn(`${next.message}; trying again`);
    else show(out, next);
    const now = time(new Date(deps.clock.now()).toISOString());
    if (!out.json) {
      out.line();
      out.line(out.paint('dim', `${now}  Ctrl-C ends this view`));
    }
    await deps.clock.sleep(REFRESH_MS, abort.signal).catch(() => undefined);
  }
}

const STYLES: Readonly<Partial<Record<JobStatus, Style>>> = {
  BLOCKED: 'red',
  PAUSED: 'yellow',
  CANCELLED: 'dim',
};

function show(out: Output, overview: Overview): void {
  const { jobs, olderJobs, quarantined, inGrace } = overview;
  out.line(out.paint('bold', 'Jobs'));
  if (jobs.length === 0) out.line('  none');
  for (const { job, counts, calledOff } of jobs) {
    const records = counts.planned > 0 ? `  ${recordsOf(counts)}` : '';
    const step =
      job.status === 'COMPLETED' && job.completedAt !== null
        ? out.paint('green', `completed ${time(job.completedAt)}`)
        : out.paint(STYLES[job.status] ?? 'cyan', stepOf(job, calledOff));
    const limit = isRunning(job.status) && job.kind !== 'purge' ? limitWords(job) : '';
    out.line(`  ${nameOf(job)}: ${step}${records}${limit}`);
  }
  if (olderJobs > 0) out.line(out.paint('dim', `  and ${count(olderJobs)} older; --limit shows more`));
  if (quarantined.length > 0) {
    out.line(out.paint('bold', 'Quarantined'));
    for (const each of quarantined) {
      out.line(
        `  ${out.paint('yellow', `${keyName(each)}: ${count(each.values)}`)}  (keyturn quarantine list --tenant ${each.tenant})`,
      );
    }
  }
  if (inGrace.length > 0) {
    out.line(out.paint('bold', 'Versions in grace'));
    const rows = inGrace.map((each) => [
      keyName(each),
      String(each.version),
      each.state,
      each.purgeNotBefore === null
        ? 'no date: no rotation away from it has ended with a clean census'
        : `purge from ${time(each.purgeNotBefore)}`,
    ]);
    for (const line of table(['key', '>version', 'state', ''], rows)) out.line(`  ${line}`);
  }
  out.result({
    ...overview,
    jobs: jobs.map(({ job, counts, calledOff }) => ({ ...jobJson(job, counts), calledOff })),
  });
}
