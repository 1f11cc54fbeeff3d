import type { KekContext } from '../root-key-provider.ts';

/**
 * What KMS authenticates along with a wrapped KEK: it unwraps in exactly this context only, and key policies can ask
 * for it (`kms:EncryptionContext:keyturn:tenant`). These names are stored nowhere: to change one makes every wrapped
 * KEK unreadable.
 *
 * The values stand in plaintext in CloudTrail, for every call: a tenant's id, never a name or an address of a person.
 */
export function encryptionContext({ tenant, purpose, keyId, version }: KekContext): Record<string, string> {
  return {
    'keyturn:tenant': tenant,
    'keyturn:purpose': purpose,
    'keyturn:key-id': keyId,
    'keyturn:version': String(version),
  };
}
