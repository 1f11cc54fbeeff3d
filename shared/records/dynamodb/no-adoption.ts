import { RecordStoreError } from '../../errors/errors.ts';
import type { AdoptableStore, RecordStore } from '../record-store.ts';

/** Adoption in place is not offered on DynamoDB: there is no lock under which plaintext could be verified and dropped. */
export function withoutAdoption(store: RecordStore): AdoptableStore {
  const refuse = async (): Promise<never> => {
    throw new RecordStoreError(
      'ADOPTION_NOT_OFFERED',
      `Record set "${store.recordSet}" is on DynamoDB, where adoption is not offered.`,
      { remedy: 'Let the application seal its values and write the envelopes; see docs/envelope.md.' },
    );
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
