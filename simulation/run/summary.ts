import { count, counted, duration, table } from '../../scripts/cli/format.ts';
import type { Tally } from './tally.ts';

/** What a run says at its end. Pure. */

/** With fewer seeds it is chance that a kind never fired. */
export const ENOUGH_SEEDS = 2_000;

export interface FoundViolation {
  readonly seed: number;
  readonly rule: string;
  readonly what: string;
  /** Shrunk where there was time for it. */
  readonly command: string;
}

export interface RunSummary {
  readonly tally: Tally;
  readonly firstSeed: number;
  readonly violations: readonly FoundViolation[];
  readonly seconds: number;
}

/** Kinds that never fired, where there were seeds enough for each. */
export function neverFired({ seeds, kinds }: Tally): string[] {
  if (seeds < ENOUGH_SEEDS) return [];
  return kinds.filter(({ fired }) => fired === 0).map(({ kind }) => kind);
}

/** Situations that never came about, where there were seeds enough for each. */
export function neverSeen({ seeds, situations }: Tally): string[] {
  return situations.filter((one) => one.seeds === 0 && seeds >= one.within).map(({ name }) => name);
}

export function summaryText(summary: RunSummary): string[] {
  const { tally, violations, seconds } = summary;
  const rows = tally.kinds
    .toSorted((a, b) => b.fired - a.fired)
    .map(({ kind, fired, seeds }) => [kind, count(fired), count(seeds)]);
  const situations = tally.situations
    .toSorted((a, b) => b.seeds - a.seeds)
    .map(({ name, seeds, first, means }) => [name, count(seeds), `${first ?? '–'}`, means]);
  const { all, covered, least } = tally.pairs;
  const missing = neverFired(tally);
  const perSecond = seconds > 0 ? Math.round(tally.seeds / seconds) : 0;
  return [
    ...table(['fault', '>fired', '>in seeds'], rows),
    '',
    `${count(covered)} of ${counted(all, 'pair')} of kinds fired in one seed; least often:`,
    ...least.map(({ pair, seeds }) => `  ${pair.join(' + ')}: ${counted(seeds, 'seed')}`),
    '',
    ...table(['situation', '>in seeds', '>one of them', 'what it is'], situations),
    '',
    ...missing.map((kind) => `${kind} never fired.`),
    ...neverSeen(tally).map((name) => `${name} never came about.`),
    `${counted(tally.seeds, 'seed')} in ${duration(seconds)} (${count(perSecond)} a second): ` +
      `${counted(tally.steps, 'step')}, ${counted(tally.faults, 'fault')}, ${counted(violations.length, 'violation')}.`,
    ...violations.map(({ seed, rule, command }) => `  seed ${seed}, rule ${rule}: ${command}`),
  ];
}

/** The last line. */
export function summaryJson({ tally, firstSeed, violations, seconds }: RunSummary): object {
  const { seeds, steps, faults, kinds, pairs } = tally;
  return {
    seeds,
    firstSeed,
    steps,
    faults,
    violations: violations.length,
    seconds: Math.round(seconds * 10) / 10,
    pairs: { covered: pairs.covered, all: pairs.all },
    fired: Object.fromEntries(kinds.map(({ kind, fired }) => [kind, fired])),
    neverFired: neverFired(tally),
    situations: Object.fromEntries(tally.situations.map(({ name, seeds: seen }) => [name, seen])),
    neverSeen: neverSeen(tally),
    found: violations,
  };
}
