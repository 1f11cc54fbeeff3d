import type { FaultKind } from './faults.ts';

/** All that a seed decides beforehand. The rest is decided by dice of the same seed, as it comes. */
export interface Plan {
  readonly seed: number;
  /** Kinds of faults that are switched on. */
  readonly faults: ReadonlySet<FaultKind>;
  /** Of a kind, only its n-th firings of these (from 0) take place. Absent: all. For shrinking. */
  readonly only?: ReadonlyMap<FaultKind, ReadonlySet<number>>;
  /** Input of the configuration's schema. Times are scaled down: a day of the service is about an hour here. */
  readonly config: object;
  readonly tenants: readonly string[];
  /** Of each tenant in each record set, before anything begins. */
  readonly records: number;
  readonly applications: number;
  /** What people, customers, backups and accidents do, in order of time. */
  readonly actions: readonly Action[];
  /** When faults stop, and when the simulation ends: milliseconds after its start. */
  readonly quietAfter: number;
  readonly endsAfter: number;
}

export interface Action {
  /** Its number in the seed's plan, also where others were left out. */
  readonly number: number;
  /** Milliseconds after the start. */
  readonly after: number;
  /** A name of simulation/actors/actions.ts. */
  readonly name: string;
  /** Numbers select among what there is then. `when`, `delay`: it waits for that moment (actors/moments.ts), and so many milliseconds more. */
  readonly choice: Readonly<Record<string, number | string>>;
}
