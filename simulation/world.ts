import type { Config } from '../shared/config/schema.ts';
import type { Deps } from '../shared/deps/deps.ts';
import type { Keyring } from '../shared/keyring/keyring.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';
import type { History } from './history.ts';
import type { Plan } from './plan.ts';
import type { Process, ProcessKind } from './process.ts';
import type { Scheduler } from './scheduler.ts';

/** What a function's caller says of a call that gave no answer: the names that Lambda and Step Functions use. */
export interface InvokeOptions {
  /** Seconds. */
  readonly timeout?: number;
}

/** What actors have. */
export interface World {
  readonly plan: Plan;
  readonly config: Config;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly history: History;
  readonly dice: Dice;
  /** A new process that runs `main` at once. What it throws as a KeyturnError ends it; anything else is a violation. */
  start(kind: ProcessKind, name: string, main: (process: Process, deps: Deps) => Promise<unknown>): Process;
  /** Calls a function by its folder's name, in a warm environment or a new one. Rejects as Step Functions would see it. */
  invoke(name: string, event: unknown, options?: InvokeOptions): Promise<unknown>;
  /** Of an application: it has no more than the ledger's keys and the provider. */
  keyringOf(process: Process): Keyring;
  /** Something that must never happen. */
  violated(rule: string, what: string): void;
}
