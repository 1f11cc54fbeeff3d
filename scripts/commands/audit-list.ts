import { z } from 'zod';
import { entryAt, SERVICE } from '../../shared/audit/outbox.ts';
import { chainName, entryRow } from '../cli/audit-words.ts';
import { defineCommand, option, TENANT, wholeNumber } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { table } from '../cli/format.ts';

export const auditList = defineCommand({
  name: 'audit list',
  summary: "List the last entries of a tenant's audit chain",
  details:
    "Prints a line an entry, the newest last: its number in the tenant's chain, when, what happened, who did it, and which\n" +
    'key, version or job. Every change of a key or job is there, and what was asked for and refused. An entry that is not\n' +
    'one any more is shown as broken: `keyturn audit verify` says what is wrong.',
  json: 'an array of {tenant, sequence, eventId, at, actor, type, detail, previous, hash}',
  options: [
    option(TENANT, "Whose chain; left out: the service's own, which tells of restores and fences"),
    option('--limit <number>', 'At most so many entries').argParser(wholeNumber).default(20),
  ],
  examples: [
    { line: 'keyturn audit list --tenant acme', says: 'what was done last' },
    { line: 'keyturn audit list --tenant acme --limit 1000 --json', says: 'for a script' },
  ],
  input: z.object({ tenant: z.string().default(SERVICE), limit: z.number() }),
  run: ({ tenant, limit }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const last = await deps.audit.lastAuditEntry(tenant);
      const from = Math.max(1, (last?.sequence ?? 0) - limit + 1);
      const items = last === null ? [] : await deps.audit.listAuditEntries(tenant, from, limit);
      const rows = items.map((item) => {
        const entry = entryAt(tenant, item);
        return entry === null ? [String(item.sequence), '-', 'broken', '-', '-'] : entryRow(entry);
      });
      if (rows.length === 0) out.line(`The audit chain of ${chainName(tenant)} is empty.`);
      for (const line of rows.length === 0 ? [] : table(['>entry', 'at', 'what', 'who', 'of'], rows))
        out.line(line);
      out.result(items.flatMap((item) => entryAt(tenant, item) ?? []));
      return EXIT_CODES.done.code;
    }),
});
