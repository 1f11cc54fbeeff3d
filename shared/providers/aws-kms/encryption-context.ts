import type { KekContext } from '../root-key-provider.ts';

/** The name of each member in KMS. They are stored nowhere: to change one makes every wrapped KEK unreadable. */
export const CONTEXT_NAMES = {
  tenant: 'keyturn:tenant',
  purpose: 'keyturn:purpose',
  keyId: 'keyturn:key-id',
  version: 'keyturn:version',
} as const satisfies Record<keyof KekContext, string>;

/**
 * What KMS authenticates along with a wrapped KEK: it unwraps in exactly this context only, and policies can ask for
 * it (`kms:EncryptionContext:keyturn:tenant`).
 *
 * The values stand in plaintext in CloudTrail, for every call: a tenant's id, never a name or an address of a person.
 */
export function encryptionContext({ tenant, purpose, keyId, version }: KekContext): Record<string, string> {
  return {
    [CONTEXT_NAMES.tenant]: tenant,
    [CONTEXT_NAMES.purpose]: purpose,
    [CONTEXT_NAMES.keyId]: keyId,
    [CONTEXT_NAMES.version]: String(version),
  };
}
