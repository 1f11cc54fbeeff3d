import type { Config } from '../../shared/config/schema.ts';
import { configSchema } from '../../shared/config/schema.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { createKek, seal } from '../../shared/envelope/index.ts';
import { versionOf } from '../../shared/keyring/change-version.ts';
import { createPostgresSearch } from '../../shared/records/postgres/envelope-columns.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../shared/records/postgres/store.ts';
import { createRecordSets, declaredIn, searchedStores } from '../../shared/records/record-sets.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import type { World, WorldMaker } from './memory-world.ts';
import { startTestPostgres } from './postgres.ts';

/** A world whose records are in a PostgreSQL of its own, and everything else in memory. */
export interface PostgresWorld {
  readonly world: World;
  /** For the statements of a test. */
  query(sql: string, values?: readonly unknown[]): Promise<readonly Record<string, unknown>[]>;
  /** The same world for a process of this configuration. */
  as(recordSets: object, rotation?: object): World;
  sealed(version: number, recordSet: string, id: readonly string[], field: string): Promise<Buffer>;
  close(): Promise<void>;
}

/** Its key serves nothing yet. */
export async function makePostgresWorld(worlds: WorldMaker, createTables: string): Promise<PostgresWorld> {
  const postgres = await startTestPostgres();
  await postgres.admin.query(createTables);
  const world = await worlds.makeWorld(createMemoryLedger());
  await world.changeKey((key) => ({ ...key, serves: [], revision: key.revision + 1 }));
  const pool = createPostgresPool({ tls: 'off', maxConnections: 4 }, postgres.url, { store: 'main' });
  const recordSetsOf = (config: Config) =>
    createRecordSets(
      config.recordSets,
      (recordSet, set) => {
        const store = createPostgresRecordStore({ recordSet, config: set, pool });
        // The world's clock is not the database's.
        return {
          ...store,
          replace: (changes) => store.replace(changes),
          replaceFrames: (changes) => store.replaceFrames(changes),
        };
      },
      {
        stores: searchedStores(config),
        open: (store) =>
          createPostgresSearch({ store, declared: declaredIn(config, store), pool, clock: world.deps.clock }),
      },
    );
  return {
    world,
    query: async (sql, values) => (await postgres.admin.query(sql, values && [...values])).rows,
    as(recordSets, rotation = {}) {
      const { approvals, stores, rotation: times } = world.deps.config;
      const config = configSchema.parse({
        provider: { type: 'local', keystore: 'k', keyFile: 'f' },
        ...{ stores, recordSets, approvals, rotation: { ...times, ...rotation } },
      });
      const deps: Deps = { ...world.deps, config, recordSets: recordSetsOf(config) };
      return Object.create(world, { deps: { value: deps } }) as World;
    },
    async sealed(version, recordSet, recordId, field) {
      const found = await world.key();
      const { keyId, tenant, purpose } = found;
      const { wrapped } = versionOf(found, version);
      if (wrapped === null) throw new Error(`Version ${version} is gone`);
      const key = await world.provider.unwrapKek(wrapped, { tenant, purpose, keyId, version });
      const kek = createKek({ keyId, version, key });
      const context = { tenant, recordSet, recordId, field };
      return Buffer.from(
        seal(Buffer.from(`${field} of ${recordId.join()}`), kek, context, world.deps.random),
      );
    },
    async close() {
      await pool.end();
      await postgres.stop();
    },
  };
}
