import { z } from 'zod';
import { exportChains } from '../../shared/audit/export-chains.ts';
import { exportLines } from '../cli/audit-words.ts';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';

export const auditExport = defineCommand({
  name: 'audit export',
  summary: 'Copy what is new in the audit chains to the archive, now',
  details:
    'What the stack does every hour (on one machine every minute): appends events that a crash left behind, writes the new\n' +
    'entries of every tenant to the archive, and a signed anchor after them. Ends with exit code 4 when a chain is not what\n' +
    'was exported before, or cannot be exported.',
  json: '{settled, pending, tenants, entries, left, failed, broken}',
  examples: [{ line: 'keyturn audit export', says: 'before a verification, so that it reaches to now' }],
  input: z.object({}),
  run: (_, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const report = await exportChains(deps);
      for (const line of exportLines(report)) out.line(line);
      out.line(`The archive is ${deps.archive.place}`);
      out.result(report);
      return report.failed === 0 ? EXIT_CODES.done.code : EXIT_CODES.refused.code;
    }),
});
