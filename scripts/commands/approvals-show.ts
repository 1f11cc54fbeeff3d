import { z } from 'zod';
import {
  approvalLines,
  approveCommand,
  readStanding,
  requestLines,
  standingJson,
} from '../cli/approval-words.ts';
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
      const standing = await readStanding(deps, requestId);
      const { check, over } = standing;
      for (const line of requestLines(check.request)) out.line(line);
      for (const line of approvalLines(standing)) out.line(line);
      if (over === null && !check.approved) out.line(`  next     ${approveCommand(requestId)}`);
      out.result(standingJson(standing));
      return EXIT_CODES.done.code;
    }),
});
