import { z } from 'zod';
import { getKey } from '../../shared/rotation/change.ts';
import { defineCommand, PURPOSE, required, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { table, time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import { keyJson, STATE_STYLES, suspensionWords, versionsOf } from '../cli/key-words.ts';

export const keysShow = defineCommand({
  name: 'keys show',
  summary: 'Show every version of a key',
  details: 'Prints every version with its state and times, and from when on it may be purged.',
  json: '{tenant, purpose, keyId, active, rotationId, createdAt, versions: [{version, state, createdAt, activatedAt, retiringAt, purgeNotBefore, destroyedAt, …}]}',
  options: [required(TENANT, 'Whose key'), PURPOSE()],
  examples: [{ line: 'keyturn keys show --tenant acme', says: 'when may version 1 be purged?' }],
  input: z.object({ tenant: z.string(), purpose: z.string() }),
  run: ({ tenant, purpose }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const key = await getKey(deps, tenant, purpose);
      const at = (timestamp: string | null) => (timestamp === null ? '-' : time(timestamp));
      const rows = versionsOf(key).map((version) => [
        String(version.version),
        out.paint(STATE_STYLES[version.state], version.state),
        at(version.createdAt),
        at(version.activatedAt),
        at(version.retiringAt),
        at(version.purgeNotBefore),
        at(version.destroyedAt),
      ]);
      out.line(`${keyName(key)}  key ${key.keyId}`);
      out.line(key.rotationId === null ? 'No rotation runs.' : `A rotation runs: job ${key.rotationId}.`);
      const headings = [
        '>version',
        'state',
        'created',
        'activated',
        'retiring since',
        'purge from',
        'destroyed',
      ];
      for (const line of table(headings, rows)) out.line(line);
      for (const version of versionsOf(key)) {
        const why = suspensionWords(version);
        if (why !== null) out.line(out.paint('red', why));
      }
      out.result(keyJson(key));
      return EXIT_CODES.done.code;
    }),
});
