import { z } from 'zod';
import { checkApprovals } from '../../shared/approvals/check-approvals.ts';
import { approvalLines, approveCommand, checkJson, requestLines } from '../cli/approval-words.ts';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';

export const approvalsShow = defineCommand({
  name: 'approvals show',
  summary: 'Show a request: what it is bound to, and who approved it',
  details:
    'Verifies the request and each approval anew, and prints what is approved, its census or hold, and who approved it, or\n' +
    'why an approval does not count.',
  json: '{requestId, action, tenant, purpose, keyId, version, restoreEpoch, subject, evidence, expiresAt, requestedBy, status, required, approved, over, approvals: [{approver, at, breakGlass, jws, verified, why}]}',
  arguments: [{ name: '<request>', description: 'Its id: `keyturn approvals list`' }],
  examples: [
    {
      line: 'keyturn approvals show fb1wZRwO8OjmBFcaRy2V6O1MxMrubkUrLtdTaaOHiwU',
      says: 'read before you approve',
    },
  ],
  input: z.object({ request: z.string() }),
  run: ({ request: requestId }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const check = await checkApprovals(deps, requestId);
      for (const line of requestLines(check.request)) out.line(line);
      for (const line of approvalLines(check)) out.line(line);
      if (check.over === null && !check.approved) out.line(`  next     ${approveCommand(requestId)}`);
      out.result(checkJson(check));
      return EXIT_CODES.done.code;
    }),
});
