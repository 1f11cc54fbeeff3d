import type { Config, RecordSetConfig } from '../config/schema.ts';
import { RecordStoreError } from '../errors/errors.ts';
import type { ServedTable } from '../keyring/key.ts';
import type { AdoptableStore } from './record-store.ts';
import type { StoreSearch } from './store-search.ts';

/** The declared record sets and their stores. */
export interface RecordSets {
  readonly names: readonly string[];
  /** Throws RECORD_SET_NOT_FOUND, naming the ones that are declared. */
  config(name: string): RecordSetConfig;
  store(name: string): AdoptableStore;
  /** The stores that are searched for what nobody declared, by name. */
  readonly stores: readonly string[];
  /** What a store holds besides. Throws RECORD_SET_NOT_FOUND. */
  search(store: string): StoreSearch;
  /** The record sets whose fields this key may serve: those of its purpose, less those fixed to another tenant. */
  ofKey(tenant: string, purpose: string): readonly string[];
}

export function createRecordSets(
  configs: Readonly<Record<string, RecordSetConfig>>,
  open: (name: string, config: RecordSetConfig) => AdoptableStore,
  searches: { readonly stores: readonly string[]; open(store: string): StoreSearch },
): RecordSets {
  const names = Object.keys(configs).sort();
  const stores = new Map<string, AdoptableStore>();

  function config(name: string): RecordSetConfig {
    const found = Object.hasOwn(configs, name) ? configs[name] : undefined;
    if (found === undefined) {
      throw new RecordStoreError('RECORD_SET_NOT_FOUND', `There is no record set "${name}"`, {
        remedy: `Declared are: ${names.join(', ') || 'none'}.`,
      });
    }
    return found;
  }

  return {
    names,
    config,
    stores: [...searches.stores].sort(),
    search(store) {
      if (searches.stores.includes(store)) return searches.open(store);
      throw new RecordStoreError('RECORD_SET_NOT_FOUND', `There is no store "${store}"`);
    },
    store(name) {
      let store = stores.get(name);
      if (store === undefined) {
        store = open(name, config(name));
        stores.set(name, store);
      }
      return store;
    },
    ofKey: (tenant, purpose) =>
      names.filter((name) => {
        const set = config(name);
        return set.purpose === purpose && ('column' in set.tenant || set.tenant.fixed === tenant);
      }),
  };
}

/** Those that record sets use, or used. One that is only named by the configuration need not be there at all. */
export function searchedStores({ stores, recordSets, retired }: Config): readonly string[] {
  const used = [...Object.values(recordSets), ...retired].map(({ store }) => store);
  return Object.keys(stores).filter((name) => used.includes(name));
}

/** Tables and columns that the record sets of a store declare. */
export function declaredIn(
  { recordSets }: Pick<Config, 'recordSets'>,
  store: string,
): readonly Pick<ServedTable, 'table' | 'columns'>[] {
  return Object.values(recordSets)
    .filter((set) => set.store === store)
    .map(({ table, fields }) => ({ table, columns: fields.map(({ column }) => column) }));
}
