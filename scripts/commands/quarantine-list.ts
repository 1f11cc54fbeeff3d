import { z } from 'zod';
import { defineCommand, option, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { table, time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import { whyQuarantined } from '../cli/quarantine-words.ts';
import { listQuarantined, quarantinedJson } from '../cli/quarantined.ts';

export const quarantineList = defineCommand({
  name: 'quarantine list',
  summary: 'List the values that could not be rewrapped',
  details:
    'Prints a line for each: tenant, record set, record id, field, error code, the version it names, since when, and why\n' +
    'in words. They block the purge of their version, and nothing else. `keyturn quarantine retry` tries them again after\n' +
    'a repair; `keyturn quarantine give-up` ends what nothing can repair.',
  json: 'an array of {tenant, purpose, recordSet, recordId: [...], field, code, why, version, jobId, at}',
  options: [option(TENANT, 'Only this tenant')],
  examples: [{ line: 'keyturn quarantine list --tenant acme', says: 'which records, and why' }],
  input: z.object({ tenant: z.string().optional() }),
  run: ({ tenant }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const { records } = await listQuarantined(deps, tenant);
      if (records.length === 0) out.line('Nothing is quarantined.');
      else {
        const rows = records.map((record) => [
          keyName(record),
          record.recordSet,
          record.recordId.join(', '),
          record.field,
          record.code,
          record.version === null ? '-' : String(record.version),
          time(record.at),
          whyQuarantined(record.code),
        ]);
        const headings = ['tenant', 'record set', 'record', 'field', 'code', '>version', 'since', 'why'];
        for (const line of table(headings, rows)) out.line(line);
      }
      out.result(records.map(quarantinedJson));
      return EXIT_CODES.done.code;
    }),
});
