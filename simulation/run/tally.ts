import { FAULT_KINDS, type FaultKind } from '../faults.ts';
import { SITUATIONS } from '../situations/list.ts';
import type { Situation } from '../situations/situation.ts';
import type { SeedResult } from './seed-result.ts';

/** Counts over all seeds of a run: faults by kind, and by pairs of kinds that both fired in one seed; situations that came about. */
export interface Tally {
  readonly seeds: number;
  readonly steps: number;
  readonly faults: number;
  readonly kinds: readonly KindCount[];
  readonly pairs: PairCounts;
  readonly situations: readonly SituationCount[];
  add(result: SeedResult): void;
}

export interface KindCount {
  readonly kind: FaultKind;
  readonly fired: number;
  readonly seeds: number;
}

export interface PairCounts {
  readonly all: number;
  readonly covered: number;
  /** Those that were seen least, also never. */
  readonly least: readonly { readonly pair: readonly [FaultKind, FaultKind]; readonly seeds: number }[];
}

export interface SituationCount extends Pick<Situation, 'name' | 'means' | 'within'> {
  /** In which it came about. */
  readonly seeds: number;
  /** The lowest of them; null: none. */
  readonly first: number | null;
}

const LEAST_NAMED = 5;

export function createTally(): Tally {
  const size = FAULT_KINDS.length;
  const place = new Map(FAULT_KINDS.map((kind, i) => [kind, i]));
  const fired = new Float64Array(size);
  const seeds = new Uint32Array(size);
  /** By the first kind's place, then the second's, which is the higher one. */
  const together = new Uint32Array(size * size);
  const situations = new Map<string, Pick<SituationCount, 'seeds' | 'first'>>();
  let all = 0;
  let steps = 0;
  let faults = 0;
  return {
    get seeds() {
      return all;
    },
    get steps() {
      return steps;
    },
    get faults() {
      return faults;
    },
    get kinds() {
      return FAULT_KINDS.map((kind, i) => ({ kind, fired: fired[i] ?? 0, seeds: seeds[i] ?? 0 }));
    },
    get pairs() {
      const pairs = FAULT_KINDS.flatMap((first, i) =>
        FAULT_KINDS.slice(i + 1).map((second, j) => ({
          pair: [first, second] as const,
          seeds: together[i * size + i + 1 + j] ?? 0,
        })),
      );
      const least = pairs.toSorted((a, b) => a.seeds - b.seeds).slice(0, LEAST_NAMED);
      return { all: pairs.length, covered: pairs.filter((one) => one.seeds > 0).length, least };
    },
    get situations() {
      return SITUATIONS.map(({ name, means, within }) => {
        const found = situations.get(name) ?? { seeds: 0, first: null };
        return { name, means, within, ...found };
      });
    },
    add(result) {
      all += 1;
      steps += result.steps;
      for (const name of result.situations) {
        const { seeds: before = 0, first = null } = situations.get(name) ?? {};
        situations.set(name, { seeds: before + 1, first: Math.min(first ?? result.seed, result.seed) });
      }
      const places: number[] = [];
      for (const [kind, count] of result.fired) {
        const at = place.get(kind);
        if (at === undefined || count === 0) continue;
        faults += count;
        fired[at] = (fired[at] ?? 0) + count;
        seeds[at] = (seeds[at] ?? 0) + 1;
        places.push(at);
      }
      places.sort((a, b) => a - b);
      for (const [i, first] of places.entries()) {
        for (const second of places.slice(i + 1)) {
          const at = first * size + second;
          together[at] = (together[at] ?? 0) + 1;
        }
      }
    },
  };
}
