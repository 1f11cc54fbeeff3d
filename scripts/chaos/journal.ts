/**
 * What the application was told of its writes. Generations of a record count from 0, one more with each write that was
 * begun; a write that was confirmed, or seen by a reader, stands and may never be gone again.
 */
export interface Journal {
  /** The generation of the record's next write. */
  next(id: number): number;
  /** Right before it is sent: from now on it may stand. */
  begin(id: number, generation: number): void;
  /** It was confirmed, or somebody has read it. */
  stands(id: number, generation: number): void;
  bounds(id: number): Bounds;
  /** Every record of which a write was begun. */
  ids(): readonly number[];
}

/** Between the two, both included, is what the record may be. Of a record that may be missing, `earliest` is -1. */
export interface Bounds {
  readonly earliest: number;
  readonly latest: number;
}

const NOTHING: Bounds = { earliest: -1, latest: -1 };

export function createJournal(): Journal {
  const records = new Map<number, Bounds>();
  const bounds = (id: number) => records.get(id) ?? NOTHING;
  return {
    bounds,
    next: (id) => bounds(id).latest + 1,
    begin(id, generation) {
      const { earliest, latest } = bounds(id);
      records.set(id, { earliest, latest: Math.max(latest, generation) });
    },
    stands(id, generation) {
      const { earliest, latest } = bounds(id);
      records.set(id, { earliest: Math.max(earliest, generation), latest });
    },
    ids: () => [...records.keys()],
  };
}

/** A row as it was found: the generation in its plain column, and what its envelopes opened to, by generation. */
export interface FoundRow {
  readonly generation: number;
  /** The opened fields are those of that generation. */
  readonly opensToIt: boolean;
}

/** Why the row is not what was committed; null: it is. `found` null: there is no such row. */
export function judge({ earliest, latest }: Bounds, found: FoundRow | null): string | null {
  if (found === null) return earliest < 0 ? null : `is gone, and write ${earliest} was committed`;
  const { generation, opensToIt } = found;
  if (generation < earliest) return `is at write ${generation}, and write ${earliest} was committed`;
  if (generation > latest) return `is at write ${generation}, and nothing after ${latest} was ever sent`;
  return opensToIt ? null : `does not open to what write ${generation} sealed`;
}
