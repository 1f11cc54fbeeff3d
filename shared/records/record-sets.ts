import type { RecordSetConfig } from '../config/schema.ts';
import { RecordStoreError } from '../errors/errors.ts';
import type { AdoptableStore } from './record-store.ts';

/** The declared record sets and their stores. */
export interface RecordSets {
  readonly names: readonly string[];
  /** Throws RECORD_SET_NOT_FOUND, naming the ones that are declared. */
  config(name: string): RecordSetConfig;
  store(name: string): AdoptableStore;
  /** The record sets whose fields this key may serve: those of its purpose, less those fixed to another tenant. */
  ofKey(tenant: string, purpose: string): readonly string[];
}

export function createRecordSets(
  configs: Readonly<Record<string, RecordSetConfig>>,
  open: (name: string, config: RecordSetConfig) => AdoptableStore,
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
