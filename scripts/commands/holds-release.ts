import { z } from 'zod';
import { requestRelease } from '../../shared/rotation/holds-by-people.ts';
import { approveCommand } from '../cli/approval-words.ts';
import { defineCommand, PURPOSE, required, TENANT, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';

export const holdsRelease = defineCommand({
  name: 'holds release',
  summary: 'Release a hold before its end, with approvals',
  details:
    'A hold of a person, or of backups that are deleted already. The first time it asks the approvers and ends with exit\n' +
    'code 4; once enough have approved, the same command releases it. Without approvals in the configuration it is released\n' +
    'at once. The hold of a restore is released by `keyturn restore end` alone. On a terminal it asks first, unless --yes.',
  json: '{tenant, purpose, released, requestId, approvals, required, hold: {holdId, versions, reason, …}}',
  arguments: [{ name: '<hold>', description: 'Its id: `keyturn holds list`' }],
  options: [required(TENANT, 'Whose key'), PURPOSE(), YES()],
  examples: [
    { line: 'keyturn holds release --tenant acme backup/main/1 --yes', says: 'its backups are deleted' },
  ],
  input: z.object({
    hold: z.string(),
    tenant: z.string(),
    purpose: z.string(),
    yes: z.boolean().default(false),
  }),
  asks: ({ tenant, purpose, hold }) => ({ tenant, purpose, holdId: hold }),
  run: ({ hold: holdId, tenant, purpose, yes }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const name = keyName({ tenant, purpose });
      await confirm(out, `Without hold ${holdId} versions of ${name} may be destroyed.`, yes);
      const request = { tenant, purpose, holdId, requestedBy: requestedBy() };
      const { hold, outcome } = await requestRelease(deps, request);
      const { endedEpoch: _, ...shown } = hold;
      if (outcome.approved) {
        out.line(out.paint('green', `Hold ${holdId} of ${name} is released.`));
        const { requestId, approvals } = outcome;
        out.result({
          ...{ tenant, purpose, released: true, requestId },
          ...{ approvals: approvals.length, required: deps.config.approvals.required, hold: shown },
        });
        return EXIT_CODES.done.code;
      }
      const { request: asked, valid, required: needed } = outcome.check;
      out.line(out.paint('yellow', `Not released: ${valid.length} of ${needed} approvals.`));
      out.line(`  request ${asked.requestId}, until ${time(asked.expiresAt)}`);
      out.line(`  approve ${approveCommand(asked.requestId)}`);
      out.line('  then    repeat this command');
      out.result({
        ...{ tenant, purpose, released: false, requestId: asked.requestId },
        ...{ approvals: valid.length, required: needed, hold: shown },
      });
      return EXIT_CODES.refused.code;
    }),
});
