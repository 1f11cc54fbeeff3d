import { resolve } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { approverName } from '../../shared/config/people.ts';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { createKmsClients } from '../../shared/providers/aws-kms/client.ts';
import { isKeyArn, regionOf } from '../../shared/providers/aws-kms/key-arn.ts';
import { createKmsSigner } from '../../shared/signing/kms-signer.ts';
import { createSigningKey } from '../../shared/signing/local-signer.ts';
import { readPublicKey } from '../../shared/signing/public-key.ts';
import { CliError } from '../cli/cli-error.ts';
import { defineCommand, option, required } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';

export const approversCreate = defineCommand({
  name: 'approvers create',
  summary: 'Make the key that an approver signs with',
  details:
    'Makes an Ed25519 key file that only its owner can read (mode 0600), and prints the lines for approvals.approvers in\n' +
    'the configuration, which pin its public part. With --kms-key nothing is made: the public part of an asymmetric KMS key\n' +
    'is read, and its key policy says whose IAM identity may sign with it. Each approver keeps their own key to themselves.',
  json: '{name, publicKey, kmsKey, keyFile}',
  options: [
    required('--name <name>', "The approver's name"),
    option('--key-file <file>', 'Where to make the key; an existing file is never overwritten'),
    option('--kms-key <arn>', 'A KMS key instead: RSA_3072, RSA_4096 or ECC_NIST_EDWARDS25519'),
    option('--break-glass', 'For emergencies: counts as any other, and raises an alarm'),
  ],
  examples: [
    { line: 'keyturn approvers create --name alice --key-file alice.key', says: 'on one machine' },
    { line: 'keyturn approvers create --name alice --kms-key arn:aws:kms:…', says: 'in AWS' },
  ],
  input: z.object({
    name: z.string(),
    keyFile: z.string().optional(),
    kmsKey: z.string().optional(),
    breakGlass: z.boolean().default(false),
  }),
  run: async ({ name, keyFile, kmsKey, breakGlass }, { out, cwd }) => {
    if ((keyFile === undefined) === (kmsKey === undefined)) {
      throw new CliError('USAGE', 'Exactly one of --key-file and --kms-key is needed');
    }
    if (!approverName.safeParse(name).success) {
      throw new CliError('INPUT_INVALID', `"${name}" is no name of an approver`, {
        remedy: 'Use letters, digits and . _ @ + -, at most 64 of them.',
      });
    }
    const made = keyFile === undefined ? null : resolve(cwd, keyFile);
    const publicKey =
      made === null
        ? await publicKeyOf(kmsKey ?? '')
        : await createSigningKey({ keyFile: made, random: fillRandom });
    const { jwk } = await readPublicKey(publicKey);
    const approver = {
      publicKey: jwk,
      ...(kmsKey !== undefined && { kmsKey }),
      ...(breakGlass && { breakGlass }),
    };
    if (keyFile !== undefined) {
      out.line(`${keyFile} is ${name}'s key: only ${name} may have it, and there is no other copy.`);
    }
    out.line('For the configuration:');
    out.line();
    const lines = stringify({ approvals: { approvers: { [name]: approver } } }, { lineWidth: 0 });
    for (const line of lines.trimEnd().split('\n')) out.line(line);
    out.result({ name, publicKey: jwk, kmsKey: kmsKey ?? null, keyFile: keyFile ?? null });
    return EXIT_CODES.done.code;
  },
});

async function publicKeyOf(keyArn: string) {
  if (!isKeyArn(keyArn)) {
    throw new CliError('INPUT_INVALID', '--kms-key is not the ARN of a KMS key', {
      remedy: 'Name the key itself (arn:aws:kms:region:account:key/id), never an alias.',
    });
  }
  const clients = createKmsClients();
  try {
    return await createKmsSigner({ client: clients.of(regionOf(keyArn)), keyArn }).publicKey();
  } finally {
    clients.destroy();
  }
}
