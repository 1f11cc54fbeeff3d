import { z } from 'zod';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';

export const certificateKey = defineCommand({
  name: 'certificate key',
  summary: 'Print the public key that certificates are verified with',
  details:
    'Prints a JSON Web Key Set (RFC 7517) with the public key of the stack. Auditors keep it from when the stack was set up:\n' +
    'a certificate cannot vouch for its own key. Statements that an earlier signing key made need that key beside it.',
  json: '{keys: [{kty, kid, alg, use, …}]}',
  examples: [{ line: 'keyturn certificate key > signing.jwks.json', says: 'once, for the auditor' }],
  input: z.object({}),
  run: (_, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const keys = { keys: [await deps.signer.publicKey()] };
      for (const line of JSON.stringify(keys, null, 2).split('\n')) out.line(line);
      out.result(keys);
      return EXIT_CODES.done.code;
    }),
});
