import type { Followed } from './follow.ts';
import { time } from './format.ts';
import { censusLines, countsLine, keyName, pauseWords, stepOf, tookLine } from './job-words.ts';
import type { Output } from './output.ts';

/** Says how a rotation, a rollback or a re-sweep stands: completed, blocked, paused, cancelled or under way. */
export function reportRotation(out: Output, followed: Followed): void {
  const { job, counts } = followed;
  const name = `${WHAT[job.goal]} of ${keyName(job)}`;
  const records = `  records  ${countsLine('rotate', counts)}`;
  switch (job.status) {
    case 'COMPLETED':
      reportCompleted(out, followed);
      return;
    case 'BLOCKED':
      out.line(out.paint('red', `${name} is BLOCKED: ${job.blocker?.code ?? 'no code'}`));
      out.line(`  why      ${job.blocker?.message ?? 'no reason was written down'}`);
      out.line(records);
      out.line('  All versions stay. Remove the cause, then ask again: it goes on from there.');
      return;
    case 'PAUSED':
      out.line(out.paint('yellow', `${name} is ${pauseWords(job)}.`));
      out.line(records);
      out.line('  All versions stay, and no record has failed.');
      if (job.pause?.reason === 'ROOT_KEY') out.line('  Asking again looks at the root key again.');
      return;
    case 'CANCELLED':
      out.line(out.paint('yellow', `${name}: ${stepOf(job)}.`));
      out.line(records);
      return;
    default:
      out.line(`${keyName(job)}: ${stepOf(job)} (job ${job.jobId}). \`keyturn status --watch\` shows it.`);
  }
}

const WHAT = { NEW_VERSION: 'Rotation', ROLLBACK: 'Rollback', RESWEEP: 'Re-sweep' } as const;

function reportCompleted(out: Output, { job, counts }: Followed): void {
  const { from, to } = job;
  const done = {
    NEW_VERSION: `Rotated ${keyName(job)}: version ${from} -> ${to} (${job.mode})`,
    ROLLBACK: `Rolled back ${keyName(job)}: version ${from} -> ${to}`,
    RESWEEP: `Swept ${keyName(job)} again: every record is on version ${to}`,
  } as const;
  out.line(out.paint('green', done[job.goal]));
  out.line(`  records  ${countsLine('rotate', counts)}`);
  for (const line of censusLines(job)) out.line(`  census   ${line}`);
  if (job.census !== null)
    out.line(`           taken at ${time(job.census.takenAt)}, of the rows of ${job.tenant}`);
  const took = tookLine(job, counts);
  if (took !== null) out.line(`  took     ${took}`);
  if (job.purgeNotBefore !== null)
    out.line(`  purge    version ${from} decrypts on, and may be purged from ${time(job.purgeNotBefore)} on`);
  if (counts.quarantined > 0) {
    out.line(
      out.paint(
        'yellow',
        `  ${counts.quarantined} quarantined: they block that purge. \`keyturn quarantine list --tenant ${job.tenant}\``,
      ),
    );
  }
}
