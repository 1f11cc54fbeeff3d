import { z } from 'zod';
import { readStanding, standingJson, subjectWords } from '../cli/approval-words.ts';
import { defineCommand, option, wholeNumber } from '../cli/command.ts';
import { mapConcurrently } from '../cli/concurrent.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { count, table, time } from '../cli/format.ts';

const READERS = 8;

export const approvalsList = defineCommand({
  name: 'approvals list',
  summary: 'List what waits for approvals',
  details:
    'Prints every request that can still be approved, or is approved and waits for its action: what it is about, who asked,\n' +
    'how many approved, and until when. With --all also those that are over: used, done (the hold or the value that it is\n' +
    'about is gone), or void, with the reason. Of all that there are it reads at most --limit, those that expire last; it\n' +
    'says so where that leaves some out.',
  json: '{more: boolean, requests: [{requestId, action, tenant, purpose, version, requestedBy, expiresAt, status, over, required, approved, approvals, …}]}',
  options: [
    option('--all', 'Also those that are over'),
    option('--limit <number>', 'Read at most so many').argParser(wholeNumber).default(1000),
  ],
  examples: [{ line: 'keyturn approvals list', says: 'is there anything for me to approve?' }],
  input: z.object({ all: z.boolean().default(false), limit: z.number() }),
  run: ({ all, limit }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const expiresFrom = new Date(deps.clock.now()).toISOString();
      // Requests stay for ever: each void makes another. One more says that there are more.
      const filter = { limit: limit + 1, ...(all ? {} : { expiresFrom }) };
      const listed = await deps.ledger.listApprovalRequests(filter);
      const more = listed.length > limit;
      const read = await mapConcurrently(listed.slice(0, limit), READERS, ({ requestId }) =>
        readStanding(deps, requestId),
      );
      const standings = all ? read : read.filter(({ over }) => over === null);
      const rows = standings.map(({ check: { request }, status, over }) => {
        const { requestId, requestedBy, expiresAt } = request;
        const how = over === null ? status : `${status}: ${over}`;
        return [requestId, subjectWords(request), requestedBy, how, time(expiresAt)];
      });
      if (rows.length === 0) out.line(all ? 'There are no requests.' : 'Nothing waits for approvals.');
      else
        for (const line of table(['request', 'about', 'asked by', 'approvals', 'until'], rows))
          out.line(line);
      if (more)
        out.warn(
          `only the ${count(limit)} requests that expire last were read, and there are more: see --limit`,
        );
      out.result({ more, requests: standings.map(standingJson) });
      return EXIT_CODES.done.code;
    }),
});
