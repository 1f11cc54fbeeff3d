import { z } from 'zod';
import { verifyCertificate } from '../../shared/certificates/verify-certificate.ts';
import { loadConfig } from '../../shared/config/load.ts';
import type { ApprovalsConfig } from '../../shared/config/people.ts';
import { ConfigError } from '../../shared/errors/errors.ts';
import { reportLines } from '../cli/certificate-words.ts';
import { type Cli, defineCommand, option } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import { readPublicKeys } from '../cli/public-keys.ts';
import { readInputText } from '../cli/read-input.ts';
import { findConfig } from '../cli/session.ts';

type Approvers = ApprovalsConfig['approvers'];

export const certificateVerify = defineCommand({
  name: 'certificate verify',
  summary: 'Verify a retirement certificate, also without a stack',
  details:
    "Verifies the signature, that the certificate is of the form it must have, that its counts sum, and the approvers' own\n" +
    'signatures where a configuration pins their keys. Says what was verified, and what no signature can say. With --key\n' +
    'it needs nothing but the two files; without it the public key is asked of the stack. Ends with exit code 4 when it is\n' +
    'not valid.',
  json: '{valid, verified: [text], problems: [text], notVerified: [text], certificate}',
  arguments: [{ name: '<file>', description: 'A file with the JWS; - for standard input' }],
  options: [option('--key <file>', 'The public key, or set of keys, as `keyturn certificate key` prints it')],
  examples: [
    {
      line: 'keyturn certificate verify acme-1.jws --key signing.jwks.json',
      says: 'anywhere, without a stack',
    },
    { line: 'keyturn certificate verify acme-1.jws', says: 'with the key of the stack' },
  ],
  input: z.object({ file: z.string(), key: z.string().optional() }),
  run: async ({ file, key }, cli) => {
    const jws = (await readInputText(file)).trim();
    if (key !== undefined) return verify(cli, jws, await readPublicKeys(key), await pinnedApprovers(cli));
    return cli.withSession(async ({ deps }) =>
      verify(cli, jws, [await deps.signer.publicKey()], deps.config.approvals.approvers),
    );
  },
});

async function verify(
  { out }: Cli,
  jws: string,
  keys: Parameters<typeof verifyCertificate>[1],
  approvers: Approvers | null,
): Promise<number> {
  const report = await verifyCertificate(jws, keys, approvers);
  const { certificate, verified, problems, notVerified } = report;
  const valid = problems.length === 0;
  const { version, destroyed, issuedAt } = certificate;
  const what = `Version ${version} of ${keyName(certificate)}: ${destroyed.how}, issued ${time(issuedAt)}`;
  out.line(valid ? out.paint('green', `Valid. ${what}`) : out.paint('red', `Not valid. ${what}`));
  for (const line of reportLines(report)) out.line(line);
  out.result({ valid, verified, problems, notVerified, certificate });
  return valid ? EXIT_CODES.done.code : EXIT_CODES.refused.code;
}

/** Null: there is no configuration here. One that is named, or is there and wrong, is an error. */
async function pinnedApprovers(cli: Cli): Promise<Approvers | null> {
  let path: string;
  try {
    path = await findConfig(cli);
  } catch (error) {
    if (error instanceof ConfigError && error.code === 'CONFIG_NOT_FOUND') return null;
    throw error;
  }
  return (await loadConfig(path)).config.approvals.approvers;
}
