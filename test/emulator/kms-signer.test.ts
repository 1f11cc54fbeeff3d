import { CreateKeyCommand, type KeySpec, KMSClient } from '@aws-sdk/client-kms';
import { afterAll, describe, expect, it } from 'vitest';
import { createKmsClients } from '../../shared/providers/aws-kms/client.ts';
import { createKmsSigner } from '../../shared/signing/kms-signer.ts';
import { describeSigner } from '../contracts/signer.ts';
import { CREDENTIALS, clientOf, REGION, startLocalEmu } from './support/emulators.ts';
import type { Emulator } from './support/server.ts';

/** The KMS signer on an emulator whose keys and signatures are real. */

const emulators: Emulator[] = [];
afterAll(async () => {
  for (const emulator of emulators) await emulator.stop();
});

async function started(emulator: Promise<Emulator>): Promise<Emulator> {
  const running = await emulator;
  emulators.push(running);
  return running;
}

async function makeSigner(emulator: Emulator, KeySpec: KeySpec) {
  const kms = new KMSClient(clientOf(emulator));
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ KeyUsage: 'SIGN_VERIFY', KeySpec }));
  kms.destroy();
  const client = createKmsClients({ endpoint: emulator.endpoint, credentials: CREDENTIALS }).of(REGION);
  return createKmsSigner({ client, keyArn: KeyMetadata?.Arn ?? '' });
}

// Not on moto: its GetPublicKey leaves the key spec out.
const localEmu = started(startLocalEmu());

describeSigner('KMS on LocalEmu', async () => ({
  signer: await makeSigner(await localEmu, 'RSA_3072'),
  another: await makeSigner(await localEmu, 'RSA_4096'),
}));

describe('KMS on LocalEmu', () => {
  it('has keys of other kinds, which are refused', async () => {
    const signer = await makeSigner(await localEmu, 'ECC_NIST_P256');
    await expect(signer.publicKey()).rejects.toMatchObject({ code: 'SIGNING_KEY_UNSUITABLE' });
  });
});
