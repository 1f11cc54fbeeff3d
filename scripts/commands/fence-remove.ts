import { z } from 'zod';
import { defineCommand, option, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { removeFence, selectNamed } from '../cli/fences.ts';

export const fenceRemove = defineCommand({
  name: 'fence remove',
  summary: 'Take the fences away',
  details:
    'Drops the trigger and its function and, with the last fence of the database, the minimums and the schema "keyturn_fence".\n' +
    'Nothing is left behind. The audit of the service has it. From then on the propagation barrier alone holds back writers with a retired version.',
  json: '{removed: [record sets], notInstalled: [...]}',
  options: [
    option('--record-set <name>', 'A record set of the configuration'),
    option('--all', 'Every record set'),
    YES(),
  ],
  examples: [{ line: 'keyturn fence remove --record-set customers', says: 'of one table' }],
  input: z.object({
    recordSet: z.string().optional(),
    all: z.boolean().default(false),
    yes: z.boolean().default(false),
  }),
  run: ({ recordSet, all, yes }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const sets = selectNamed(deps, { recordSet, all });
      const tables = sets.filter(({ fence }) => fence !== null).map(({ table }) => table);
      await confirm(out, `The database will take retired versions in ${tables.join(', ')} again.`, yes);
      const removed: string[] = [];
      const notInstalled: string[] = [];
      for (const { recordSet: name, table, fence } of sets) {
        const was = fence !== null && (await removeFence(deps, { recordSet: name, table, fence }));
        (was ? removed : notInstalled).push(name);
        out.line(was ? `${name}: its fence is gone` : `${name}: had none`);
      }
      out.result({ removed, notInstalled });
      return EXIT_CODES.done.code;
    }),
});
