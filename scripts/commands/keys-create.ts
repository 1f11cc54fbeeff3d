import { z } from 'zod';
import { createKey } from '../../shared/rotation/create-key.ts';
import { CliError } from '../cli/cli-error.ts';
import { defineCommand, PURPOSE, required, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { keyName } from '../cli/job-words.ts';
import { keyJson } from '../cli/key-words.ts';

const LONGEST_TENANT = 256;

export const keysCreate = defineCommand({
  name: 'keys create',
  summary: 'Make a key for a tenant',
  details:
    'Makes version 1, reads it back, proves that it unwraps, and only then activates it. Where the key exists already\n' +
    'it says so and changes nothing. `keyturn adopt` makes missing keys by itself.',
  json: '{created: boolean, key: {tenant, purpose, keyId, active, rotationId, createdAt, versions: [...]}}',
  options: [required(TENANT, 'Whose key'), PURPOSE()],
  examples: [
    { line: 'keyturn keys create --tenant acme', says: 'for the purpose "default"' },
    { line: 'keyturn keys create --tenant acme --purpose billing', says: 'a second key of the same tenant' },
  ],
  input: z.object({ tenant: z.string(), purpose: z.string() }),
  asks: ({ tenant, purpose }) => ({ tenant, purpose }),
  run: async ({ tenant, purpose }, cli) => {
    if (tenant.trim() === '' || tenant.length > LONGEST_TENANT || !tenant.isWellFormed()) {
      throw new CliError('INPUT_INVALID', `A tenant's name has 1 to ${LONGEST_TENANT} characters`);
    }
    if (!/^[a-z][a-z0-9_-]{0,62}$/.test(purpose)) {
      throw new CliError(
        'INPUT_INVALID',
        'A purpose has 1 to 63 of a-z, 0-9, _ and -, and begins with a letter',
      );
    }
    return cli.withSession(async ({ deps }) => {
      const { key, created } = await createKey(deps, tenant, purpose);
      const name = keyName(key);
      cli.out.line(
        created
          ? `Made the key of ${name}: version ${key.active} is active (key ${key.keyId}).`
          : `${name} has a key already: version ${key.active} is active (key ${key.keyId}).`,
      );
      cli.out.result({ created, key: keyJson(key) });
      return EXIT_CODES.done.code;
    });
  },
});
