import { z } from 'zod';
import { defineCommand, option } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { checkFence, type FenceFinding, keyWords, selectFences } from '../cli/fences.ts';

export const fenceCheck = defineCommand({
  name: 'fence check',
  summary: 'Check that the fences are as they must be',
  details:
    'Compares each trigger and its function with what this release installs, on every partition: changed, disabled,\n' +
    'missing, or in a database whose sessions fire no triggers. Then the minimum of each key with its active version.\n' +
    'Ends with exit code 4 when a fence does not hold or, of a record set that is named, is not installed.',
  json: 'an array of {recordSet, status: "holds" | "broken" | "not installed" | "not offered", problems, keys, waiting}',
  options: [
    option('--record-set <name>', 'A record set of the configuration'),
    option('--all', 'Every record set; so it is too when none is named').conflicts(['recordSet']),
  ],
  examples: [{ line: 'keyturn fence check', says: 'after a migration, a restore, an upgrade' }],
  input: z.object({ recordSet: z.string().optional(), all: z.boolean().default(false) }),
  run: ({ recordSet }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const keys = await deps.ledger.listKeys();
      const findings: FenceFinding[] = [];
      for (const set of selectFences(deps, recordSet)) {
        const finding = await checkFence(deps, set, keys);
        findings.push(finding);
        const { status, problems } = finding;
        if (status === 'holds') out.line(out.paint('green', `${set.recordSet}: holds, ${keyWords(finding)}`));
        else if (status === 'not offered') out.line(`${set.recordSet}: its store has no fence to offer`);
        else if (status === 'not installed') out.line(out.paint('yellow', `${set.recordSet}: not installed`));
        for (const problem of problems) out.line(out.paint('red', `${set.recordSet}: ${problem}`));
      }
      const broken = findings.some(({ status }) => status === 'broken');
      if (broken) out.line('`keyturn fence install` mends it, and raises the minimums.');
      out.result(findings);
      const missing = recordSet !== undefined && findings.some(({ status }) => status === 'not installed');
      return broken || missing ? EXIT_CODES.refused.code : EXIT_CODES.done.code;
    }),
});
