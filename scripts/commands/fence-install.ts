import { z } from 'zod';
import { defineCommand, option, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { installFence, raiseAll, selectNamed } from '../cli/fences.ts';
import { counted } from '../cli/format.ts';

export const fenceInstall = defineCommand({
  name: 'fence install',
  summary: "Have PostgreSQL refuse versions below their key's minimum",
  details:
    'Adds a trigger to the table of the record set, and the schema "keyturn_fence" with the minimum version of each key. From\n' +
    'then on a writer that holds a retired version is refused by the database itself, however long it was frozen\n' +
    '(SQLSTATE KT001). A rotation raises the minimum when its propagation barrier has passed; a rollback or restore lowers\n' +
    'it. Run again it changes nothing, or mends what differs. It waits for the table at most some seconds, never with\n' +
    'the application waiting behind it. The audit of the service has it. docs/retirement.md says which rights it needs\n' +
    'and what it costs.',
  json: '{installed: [record sets], unchanged: [...], notOffered: [...], raised: keys, waiting: keys}; with --sql {statements: {recordSet: [SQL]}}',
  options: [
    option('--record-set <name>', 'A record set of the configuration'),
    option('--all', 'Every record set whose store offers a fence'),
    option('--sql', 'Only print the statements, for the owner of the table to run'),
    YES(),
  ],
  examples: [
    { line: 'keyturn fence install --record-set customers', says: 'fence one table' },
    { line: 'keyturn fence install --all --sql', says: 'what the owner of the tables has to run' },
  ],
  input: z.object({
    recordSet: z.string().optional(),
    all: z.boolean().default(false),
    sql: z.boolean().default(false),
    yes: z.boolean().default(false),
  }),
  run: ({ recordSet, all, sql, yes }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const sets = selectNamed(deps, { recordSet, all });
      if (sql) {
        const statements: Record<string, readonly string[]> = {};
        for (const set of sets) {
          const list = (await set.fence?.statements()) ?? [];
          statements[set.recordSet] = list;
          for (const line of list.flatMap((text) => `${text};`.split('\n'))) out.line(line);
          if (set.fence === null) out.line(`-- ${set.recordSet}: its store has no fence to offer`);
          else if (list.length === 0)
            out.line(`-- ${set.recordSet}: table ${set.table} has its fence already`);
        }
        out.result({ statements });
        return EXIT_CODES.done.code;
      }
      const tables = sets.filter(({ fence }) => fence !== null).map(({ table }) => table);
      if (out.canAsk) await confirm(out, `A trigger will be added to ${tables.join(', ')}.`, yes);
      const done = { installed: [] as string[], unchanged: [] as string[], notOffered: [] as string[] };
      for (const { recordSet: name, table, fence } of sets) {
        if (fence === null) {
          done.notOffered.push(name);
          out.line(`${name}: its store has no fence to offer`);
        } else if (await installFence(deps, { recordSet: name, table, fence })) {
          done.installed.push(name);
          out.line(out.paint('green', `${name}: table ${table} has its fence`));
        } else {
          done.unchanged.push(name);
          out.line(`${name}: table ${table} had it already`);
        }
      }
      const { raised, waiting } = await raiseAll(deps);
      out.line(
        `The minimum of ${counted(raised, 'key')} is the active version` +
          (waiting === 0
            ? '.'
            : `; ${counted(waiting, 'key')} will follow when their writers have had their time.`),
      );
      out.result({ ...done, raised, waiting });
      return EXIT_CODES.done.code;
    }),
});
