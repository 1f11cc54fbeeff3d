import type { Config } from '../config/schema.ts';
import type { RandomFill } from '../envelope/types.ts';
import { ConfigError } from '../errors/errors.ts';
import type { KmsClients } from '../providers/aws-kms/client.ts';
import { isKeyArn, regionOf } from '../providers/aws-kms/key-arn.ts';
import { createKmsSigner } from '../signing/kms-signer.ts';
import { createLocalSigner } from '../signing/local-signer.ts';
import type { Signer } from '../signing/signer.ts';

export interface SignerParts {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly random: RandomFill;
  /** Nothing is asked of them yet. */
  readonly kmsClients: KmsClients;
}

/** The key that signs certificates and anchors. A key file that is missing is made at its first use. */
export function openSigner(
  { signing, provider }: Pick<Config, 'signing' | 'provider'>,
  { environment, random, kmsClients }: SignerParts,
): Signer {
  if (signing?.type === 'local') return createLocalSigner({ keyFile: signing.keyFile, random });
  if (signing === undefined && provider.type === 'local') {
    return createLocalSigner({ keyFile: `${provider.keystore}.signing`, random });
  }
  const keyArn = signing?.key ?? deployedSigningKey(environment);
  return createKmsSigner({ client: kmsClients.of(regionOf(keyArn)), keyArn });
}

/** The signing key that the deployment made, for a configuration that names none. */
export function deployedSigningKey(environment: SignerParts['environment']): string {
  const keyArn = environment['KEYTURN_SIGNING_KEY_ARN'] ?? '';
  if (isKeyArn(keyArn)) return keyArn;
  const is = keyArn === '' ? 'is not set' : 'is not the ARN of a KMS key';
  throw new ConfigError('ENVIRONMENT_INVALID', `The environment variable KEYTURN_SIGNING_KEY_ARN ${is}`, {
    remedy:
      'It holds the ARN of the signing key that the deployment made; or say in the configuration what signs (signing).',
  });
}
