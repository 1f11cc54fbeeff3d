import { checkApprovals } from '../../shared/approvals/check-approvals.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { type Job, waitsForApproval } from '../../shared/rotation/rotation.ts';
import { approveCommand } from './approval-words.ts';
import { duration, time } from './format.ts';
import { censusLines, keyName, keyOptions, stepOf } from './job-words.ts';
import type { Output } from './output.ts';
import { readCalledOff } from './watch-jobs.ts';

/** Says how a purge stands: destroyed, blocked, waiting for approvals, or under way. */
export async function printPurge(
  deps: Deps,
  out: Output,
  job: Job,
  { already }: { readonly already: boolean },
): Promise<void> {
  const name = `version ${job.from} of ${keyName(job)}`;
  const census = censusLines(job).map((line) => `  census  ${line}`);
  if (job.status === 'COMPLETED') {
    const at = job.completedAt === null ? '' : ` at ${time(job.completedAt)}`;
    const line = `Version ${job.from} of ${keyName(job)} is${already ? ' already' : ''} destroyed${at}.`;
    out.line(out.paint('green', line));
    for (const read of census) out.line(read);
    out.line(`  proof   keyturn certificate show ${keyOptions(job)} --version ${job.from}`);
    out.line(`  ${keptBy(deps)}`);
    return;
  }
  if (job.status === 'BLOCKED') {
    out.line(out.paint('red', `Not destroyed: ${job.blocker?.code ?? 'no code'}`));
    out.line(`  why     ${job.blocker?.message ?? 'no reason was written down'}`);
    for (const read of census) out.line(read);
    const key = await deps.ledger.getKey(job.tenant, job.purpose);
    const version = key?.versions[String(job.from)];
    out.line(
      version?.state === 'RETIRING'
        ? `  ${name} is RETIRING again and decrypts on.`
        : `  ${name} is ${version?.state ?? 'not there'}${version?.destroyAuthorizedAt === null ? '' : ', and its destruction is decided: it is finished when this is mended'}.`,
    );
    return;
  }
  const calledOff = await readCalledOff(deps, job);
  if (calledOff === null && waitsForApproval(job) && job.approvalId !== null) {
    const { request, valid, required, over } = await checkApprovals(deps, job.approvalId);
    out.line(out.paint('yellow', `Not destroyed yet: ${valid.length} of ${required} approvals.`));
    for (const read of census) out.line(read);
    out.line(`  fenced  ${name} stays DESTROY_PENDING: whoever asks for it is served and ends the purge`);
    if (over !== null) out.line(`  void    ${over}; this command asks anew`);
    else {
      out.line(`  request ${request.requestId}, until ${time(request.expiresAt)}`);
      out.line(`  approve ${approveCommand(request.requestId)}`);
    }
    return;
  }
  out.line(`Purge of ${name}: ${stepOf(job, calledOff)}. \`keyturn status --watch\` shows it.`);
}

/** Where the wrapped key still is, as its certificate says. */
function keptBy({ ledgerBackupSeconds }: Pick<Deps, 'ledgerBackupSeconds'>): string {
  return ledgerBackupSeconds === 0
    ? 'The ledger has no backups of its own; its files may hold the wrapped key until they are compacted.'
    : `Point-in-time backups of the ledger hold the wrapped key for up to ${duration(ledgerBackupSeconds)} more.`;
}
