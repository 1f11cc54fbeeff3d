import type { Timestamp } from '../keyring/key.ts';

/** What "destroyed" honestly means, by how a version was kept. */

export const KEPT_AS = [
  /** A KEK wrapped by a root key that wraps others too; the wrapped bytes stood in the ledger. */
  'WRAPPED_KEK',
  /** A KMS key that was made for this version alone. */
  'OWN_KMS_KEY',
  /** Material of one AWS KMS key, which AWS rotated inside it. */
  'AWS_ROTATED_MATERIAL',
  /** Key material that was imported into a KMS key, beside other material. */
  'IMPORTED_MATERIAL',
] as const;
export type KeptAs = (typeof KEPT_AS)[number];

export const DESTROYED_HOW = [
  'ERASED',
  'DESTROYED_BY_PROVIDER',
  'LOGICALLY_RETIRED',
  'NOT_DESTROYED',
] as const;
export type DestroyedHow = (typeof DESTROYED_HOW)[number];

export interface DestroyedMeans {
  readonly how: DestroyedHow;
  /** From when on nobody can bring the version back; null: never. */
  readonly effectiveAt: Timestamp | null;
  /** One or two sentences for an auditor. */
  readonly statement: string;
}

export interface Destruction {
  readonly keptAs: KeptAs;
  readonly destroyedAt: Timestamp;
  /** How long point-in-time backups of the ledger still hold the erased bytes; 0: it has none. Seconds. */
  readonly ledgerBackupSeconds: number;
  /** OWN_KMS_KEY: when the provider deletes the key for good; null: it gave no date. */
  readonly providerDeletesAt: Timestamp | null;
}

export function whatDestroyedMeans({
  keptAs,
  destroyedAt,
  ledgerBackupSeconds,
  providerDeletesAt,
}: Destruction): DestroyedMeans {
  switch (keptAs) {
    case 'WRAPPED_KEK': {
      const effectiveAt = new Date(Date.parse(destroyedAt) + ledgerBackupSeconds * 1000).toISOString();
      return { how: 'ERASED', effectiveAt, statement: erased(ledgerBackupSeconds) };
    }
    case 'OWN_KMS_KEY':
      return {
        how: 'DESTROYED_BY_PROVIDER',
        effectiveAt: providerDeletesAt,
        statement:
          "The version's own KMS key is scheduled for deletion and unusable since then. The provider deletes it at its date; until then the deletion can be cancelled.",
      };
    case 'AWS_ROTATED_MATERIAL':
      return {
        how: 'LOGICALLY_RETIRED',
        effectiveAt: null,
        statement:
          'AWS keeps all earlier material of a key that it rotates, for as long as the key exists. The version is logically retired: no record names it. It is not destroyed, and cannot be by itself.',
      };
    case 'IMPORTED_MATERIAL':
      return {
        how: 'NOT_DESTROYED',
        effectiveAt: null,
        statement:
          'The material was not deleted: deleting one material of a KMS key makes the whole key unusable. No record names the version.',
      };
  }
}

const DAY = 86_400;

function erased(ledgerBackupSeconds: number): string {
  const rest =
    'Copies of the ledger that were made in another way are not covered, and the root key could unwrap what they hold.';
  return ledgerBackupSeconds === 0
    ? `The wrapped KEK was erased from the ledger, which has no backups of its own; its files may hold the bytes until they are compacted. ${rest}`
    : `The wrapped KEK was erased from the ledger. Its point-in-time backups hold it for up to ${ledgerBackupSeconds / DAY} days more, and until then the root key could unwrap it. ${rest}`;
}
