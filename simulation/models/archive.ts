import type { AuditArchive } from '../../shared/audit/archive.ts';

/** An archive in memory, held to the same contract. `objects` is there to be tampered with. */
export interface MemoryArchive extends AuditArchive {
  readonly objects: Map<string, Uint8Array>;
}

export interface MemoryArchiveOptions {
  /** Told of every object that was put, as it is stored. */
  readonly onPut?: (name: string, bytes: Uint8Array) => void;
}

export function createMemoryArchive({ onPut = () => {} }: MemoryArchiveOptions = {}): MemoryArchive {
  const objects = new Map<string, Uint8Array>();
  return {
    objects,
    place: 'memory',
    async put(name, bytes) {
      if (objects.has(name)) return false;
      const stored = Uint8Array.from(bytes);
      objects.set(name, stored);
      onPut(name, stored);
      return true;
    },
    get: async (name) => objects.get(name) ?? null,
    list: async (prefix) =>
      [...objects.keys()]
        .filter((name) => name.startsWith(prefix))
        .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  };
}
