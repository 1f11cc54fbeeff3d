import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { World } from './memory-world.ts';

/** As before a deployment that declares `notes`. */

/** What a process of then has. */
export function withoutNotes({ deps }: Pick<World, 'deps'>): Deps {
  const { notes: _, ...people } = deps.config.recordSets;
  return {
    ...deps,
    config: { ...deps.config, recordSets: people },
    recordSets: { ...deps.recordSets, names: ['people'], ofKey: () => ['people'] },
  };
}

/** What the key knew. */
export const forgetNotes = (world: World): Promise<TenantKey> =>
  world.changeKey((key) => ({
    ...key,
    revision: key.revision + 1,
    serves: key.serves.filter(({ table }) => table !== 'notes'),
  }));
