import { z } from 'zod';
import { type ApprovalCheck, checkApprovals } from '../../shared/approvals/check-approvals.ts';
import { checkJson, standingOf, subjectWords } from '../cli/approval-words.ts';
import { defineCommand, option } from '../cli/command.ts';
import { mapConcurrently } from '../cli/concurrent.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { table, time } from '../cli/format.ts';

const READERS = 8;

export const approvalsList = defineCommand({
  name: 'approvals list',
  summary: 'List what waits for approvals',
  details:
    'Prints every request that has not expired: what it is about, who asked, how many approved, and until when. With\n' +
    '--all also those that have expired.',
  json: '{requests: [{requestId, action, tenant, purpose, version, requestedBy, expiresAt, status, required, approved, approvals, …}]}',
  options: [option('--all', 'Also those that have expired')],
  examples: [{ line: 'keyturn approvals list', says: 'is there anything for me to approve?' }],
  input: z.object({ all: z.boolean().default(false) }),
  run: ({ all }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const expiresFrom = new Date(deps.clock.now()).toISOString();
      const listed = await deps.ledger.listApprovalRequests(all ? {} : { expiresFrom });
      const checks = await mapConcurrently([...listed], READERS, ({ requestId }) =>
        checkApprovals(deps, requestId),
      );
      const rows = checks.map((check: ApprovalCheck) => {
        const { request } = check;
        const { requestId, requestedBy, expiresAt } = request;
        return [requestId, subjectWords(request), requestedBy, standingOf(check), time(expiresAt)];
      });
      if (rows.length === 0) out.line('Nothing waits for approvals.');
      else
        for (const line of table(['request', 'about', 'asked by', 'approvals', 'until'], rows))
          out.line(line);
      out.result({ requests: checks.map(checkJson) });
      return EXIT_CODES.done.code;
    }),
});
