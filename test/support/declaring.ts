import type { Config } from '../../shared/config/schema.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { createRecordSets } from '../../shared/records/record-sets.ts';
import { createMemorySearch, type SearchedTable } from '../../simulation/models/store-search.ts';
import { FIELDS, type World } from './memory-world.ts';

/** Processes of other configurations, before and after a deployment. */

/** What a process has whose configuration says so. */
export function declaring(world: World, changes: Partial<Config>): Deps {
  const config = { ...world.deps.config, ...changes };
  return {
    ...world.deps,
    config,
    recordSets: createRecordSets(config.recordSets, (name) => world.deps.recordSets.store(name), {
      stores: Object.keys(config.stores),
      open: (store) => createMemorySearch(store, tablesIn(world, config, store), world.clock.now),
    }),
  };
}

/** Of those that the world has: what the store holds by this configuration. */
function tablesIn(world: World, { recordSets }: Config, store: string): SearchedTable[] {
  return [world.people, world.notes].flatMap((rows) => {
    const set = recordSets[rows.recordSet];
    if ((set?.store ?? 'main') !== store) return [];
    const declared = (set?.fields ?? []).map(({ column }) => column);
    const columns = [...new Set([...FIELDS, ...declared])];
    return [{ table: set?.table ?? rows.recordSet, columns, declared, store: rows }];
  });
}

/** Before a deployment that declares `notes`. */
export function withoutNotes(world: World): Deps {
  const { notes: _, ...people } = world.deps.config.recordSets;
  return declaring(world, { recordSets: people });
}

/** What the key knew then. */
export const forgetNotes = (world: World): Promise<TenantKey> =>
  world.changeKey((key) => ({
    ...key,
    revision: key.revision + 1,
    serves: key.serves.filter(({ table }) => table !== 'notes'),
  }));
