import type { StoredCertificate } from '../certificates/certificate.ts';
import { itemKeys, STORED_WITH } from './attributes.ts';
import { storedCertificateSchema } from './items.ts';
import type { Ledger } from './ledger.ts';
import { createOne, type Kind, readOne } from './stored-items.ts';
import type { TableClient } from './table-client.ts';

/** Retirement certificates: create-only, one for each version of a key. */

type CertificateLedger = Pick<Ledger, 'createCertificate' | 'getCertificate'>;

const CERTIFICATE: Kind<StoredCertificate> = {
  name: 'retirement certificate',
  schema: storedCertificateSchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ keyId, version }) => itemKeys.certificate(keyId, version),
};

export function createCertificateLedger(table: TableClient): CertificateLedger {
  return {
    createCertificate: (certificate) => createOne(table, CERTIFICATE, certificate),
    getCertificate: (keyId, version) => readOne(table, CERTIFICATE, itemKeys.certificate(keyId, version)),
  };
}
