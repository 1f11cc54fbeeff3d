import { RecordStoreError } from '../../errors/errors.ts';
import type { AdoptableStore, RecordStore } from '../record-store.ts';

export function adoptionNotOffered(recordSet: string): RecordStoreError {
  return new RecordStoreError(
    'ADOPTION_NOT_OFFERED',
    `Record set "${recordSet}" is on DynamoDB, where adoption is not offered`,
    { remedy: 'Let the application seal its values and write the envelopes; see docs/envelope.md.' },
  );
}

/** Adoption in place is not offered on DynamoDB: there is no lock under which plaintext could be verified and dropped. */
export function withoutAdoption(store: RecordStore): AdoptableStore {
  const refuse = async (): Promise<never> => {
    throw adoptionNotOffered(store.recordSet);
  };
  return {
    ...store,
    hasPlaintext: async () => false,
    prepareAdoption: refuse,
    tenants: refuse,
    listPlaintext: refuse,
    readPlaintext: refuse,
    fill: refuse,
    dropPlaintext: refuse,
  };
}
