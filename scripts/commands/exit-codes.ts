import { z } from 'zod';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';

const LIST = Object.values(EXIT_CODES);

export const exitCodes = defineCommand({
  name: 'exit-codes',
  summary: 'List the exit codes',
  details: [
    ...LIST.map(({ code, meaning }) => `${String(code).padStart(4)}  ${meaning}`),
    '',
    'docs/errors.md has every error code with its exit code.',
  ].join('\n'),
  json: 'an array of {code, meaning}',
  examples: [{ line: 'keyturn exit-codes', says: 'the same as keyturn help exit-codes' }],
  input: z.object({}),
  run: async (_, { out }) => {
    for (const { code, meaning } of LIST) out.line(`${String(code).padStart(4)}  ${meaning}`);
    out.result(LIST);
    return EXIT_CODES.done.code;
  },
});
