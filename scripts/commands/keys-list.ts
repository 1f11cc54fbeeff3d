import { z } from 'zod';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { duration, table } from '../cli/format.ts';
import { ageOfActive, keyJson, versionsByState } from '../cli/key-words.ts';

export const keysList = defineCommand({
  name: 'keys list',
  summary: 'List the keys',
  details:
    'Prints a line for each key: tenant, purpose, active version and its age, its versions by state, and whether a\n' +
    'rotation runs.',
  json: 'an array of {tenant, purpose, keyId, active, rotationId, createdAt, activeAgeSeconds, versions: [...]}',
  examples: [{ line: 'keyturn keys list', says: 'every key of every tenant' }],
  input: z.object({}),
  run: (_, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const keys = await deps.ledger.listKeys();
      const now = deps.clock.now();
      const rows = keys.map((key) => {
        const age = ageOfActive(key, now);
        return [
          key.tenant,
          key.purpose,
          String(key.active),
          age === null ? '-' : duration(age),
          versionsByState(key),
          key.rotationId === null ? '-' : 'running',
        ];
      });
      if (rows.length === 0)
        out.line('There are no keys. `keyturn keys create` or `keyturn adopt` makes them.');
      else {
        const [heading = '', ...lines] = table(
          ['tenant', 'purpose', '>active', '>age', 'versions', 'rotation'],
          rows,
        );
        out.line(out.paint('bold', heading));
        for (const line of lines) out.line(line);
      }
      out.result(keys.map((key) => ({ ...keyJson(key), activeAgeSeconds: ageOfActive(key, now) })));
      return EXIT_CODES.done.code;
    }),
});
