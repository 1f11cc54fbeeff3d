import { type EnvelopeContext, inspect, open, type RandomFill, seal } from '../envelope/index.ts';
import type { Keyring } from './keyring.ts';

/** What an application encrypts and decrypts its fields with. */
export interface FieldCipher {
  /** Under the tenant's active version. Write what it returns at once: the propagation barrier counts on that. */
  seal(context: EnvelopeContext, plaintext: Uint8Array): Promise<Uint8Array>;
  /** Under the version that the envelope names. */
  open(context: EnvelopeContext, envelope: Uint8Array): Promise<Uint8Array>;
}

/**
 * `purposes`: which of the tenant's keys encrypts a record set, as the configuration says.
 * Errors: KeyError from the keyring, EnvelopeError from the envelope.
 */
export function createFieldCipher(options: {
  readonly keyring: Keyring;
  readonly purposes: (recordSet: string) => string;
  readonly random?: RandomFill;
}): FieldCipher {
  const { keyring, purposes, random } = options;
  return {
    seal: async (context, plaintext) => {
      const kek = await keyring.active(context.tenant, purposes(context.recordSet));
      return seal(plaintext, kek, context, random);
    },
    open: async (context, envelope) => {
      const { version } = inspect(envelope);
      const purpose = purposes(context.recordSet);
      const kek = await keyring.version(context.tenant, purpose, version, 'open', context);
      return open(envelope, kek, context);
    },
  };
}
