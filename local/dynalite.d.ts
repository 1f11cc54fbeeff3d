/** npm `dynalite` ships no types. Only what local/dynamodb.ts uses. */
declare module 'dynalite' {
  import type { Server } from 'node:http';

  export default function dynalite(options: {
    /** Folder of the LevelDB store; in memory when absent. */
    path?: string;
    createTableMs?: number;
    deleteTableMs?: number;
    updateTableMs?: number;
  }): Server;
}

/** The parts of its store that local/dynamodb-indexes.ts looks at. */
declare module 'dynalite/db/index.js' {
  interface StoredIndex {
    readonly IndexName: string;
  }

  export interface StoredTable {
    readonly TableName: string;
    readonly LocalSecondaryIndexes?: readonly StoredIndex[];
    readonly GlobalSecondaryIndexes?: readonly StoredIndex[];
  }

  /** What must stand in the indexes for an item, and what no longer for the one that it replaces. Pure. */
  export function getIndexActions(
    indexes: readonly StoredIndex[],
    existing: object | null,
    item: object,
    table: StoredTable,
  ): { readonly puts: readonly { readonly index: string; readonly key: string; readonly item: object }[] };
}
