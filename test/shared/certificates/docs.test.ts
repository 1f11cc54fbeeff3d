import { execFile } from 'node:child_process';
import { generateKeyPairSync, randomFillSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { DESTROYED_HOW } from '../../../shared/certificates/destroyed-means.ts';
import { createKmsClients } from '../../../shared/providers/aws-kms/client.ts';
import { createKmsSigner } from '../../../shared/signing/kms-signer.ts';
import { createLocalSigner } from '../../../shared/signing/local-signer.ts';
import { answerAsKms } from '../../support/kms-signing.ts';
import { startKmsWire } from '../../support/kms-wire.ts';

const run = promisify(execFile);
const page = await readFile(new URL('../../../docs/certificate.md', import.meta.url), 'utf8');
const folder = await mkdtemp(join(tmpdir(), 'keyturn-certificate-docs-'));
const wire = await startKmsWire();
afterAll(async () => {
  await wire.close();
  await rm(folder, { recursive: true, force: true });
});

const arn = 'arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-4000-8000-000000000001';
const pair = generateKeyPairSync('rsa', { modulusLength: 3072 });
wire.answer = answerAsKms([{ arn, spec: 'RSA_3072', ...pair }]);
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
const client = createKmsClients({ endpoint: wire.endpoint, credentials }).of('eu-central-1');

const SIGNERS = {
  EdDSA: createLocalSigner({ keyFile: join(folder, 'key'), random: (b) => void randomFillSync(b) }),
  PS256: createKmsSigner({ client, keyArn: arn }),
};

describe('docs/certificate.md', () => {
  it.each(Object.entries(SIGNERS))(
    'shows a program that verifies one by node alone: %s',
    async (_, signer) => {
      const [, program = ''] = /```js\n(.*?)```/s.exec(page) ?? [];
      await writeFile(join(folder, 'verify.mjs'), program);
      await writeFile(
        join(folder, 'signing.jwks.json'),
        JSON.stringify({ keys: [await signer.publicKey()] }),
      );
      const jws = await signer.sign('keyturn-retirement-certificate+jws', { version: 1 });
      const verify = async (text: string) => {
        await writeFile(join(folder, 'acme-1.jws'), `${text}\n`);
        return (await run(process.execPath, ['verify.mjs'], { cwd: folder })).stdout;
      };
      expect(await verify(jws)).toMatch(/^true \{ version: 1 \}/);
      const [header, , signature] = jws.split('.');
      const other = Buffer.from('{"version":2}').toString('base64url');
      expect(await verify(`${header}.${other}.${signature}`)).toMatch(/^false/);
      expect(await verify(await signer.sign('keyturn-approval+jws', {}))).toMatch(/^false/);
    },
  );

  it('has a row for all that can become of a version', () => {
    for (const how of DESTROYED_HOW) expect(page).toContain(`| \`${how}\` |`);
  });
});
