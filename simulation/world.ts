import type { Config } from '../shared/config/schema.ts';
import type { Deps } from '../shared/deps/deps.ts';
import type { Keyring } from '../shared/keyring/keyring.ts';
import type { Signer } from '../shared/signing/signer.ts';
import type { Moments } from './actors/moments.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';
import type { History } from './history.ts';
import type { BusModel } from './models/bus.ts';
import type { MemoryRecordStore } from './models/record-store.ts';
import type { TestRootKeys } from './models/root-keys.ts';
import type { Plan } from './plan.ts';
import type { Process, ProcessKind } from './process.ts';
import type { Scheduler } from './scheduler.ts';

/** What a function's caller says of a call that gave no answer: the names that Lambda and Step Functions use. */
export interface InvokeOptions {
  /** Seconds. */
  readonly timeout?: number;
}

/** Backups of whole stores. Each adds its entries to the history. */
export interface Backups {
  /** Returns the backup's id. */
  take(store: string): string;
  lapse(backupId: string): void;
  /** The rows of the store become those of the backup. */
  restore(backupId: string, restoreId: string): void;
}

/** What actors have. */
export interface World {
  readonly plan: Plan;
  readonly config: Config;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly history: History;
  readonly dice: Dice;
  readonly moments: Pick<Moments, 'when'>;
  /** A new process that runs `main` at once. What it throws as a KeyturnError ends it; anything else is a violation. */
  start(kind: ProcessKind, name: string, main: (process: Process, deps: Deps) => Promise<unknown>): Process;
  /** Calls a function by its folder's name, in a warm environment or a new one. Rejects as Step Functions would see it. */
  invoke(name: string, event: unknown, options?: InvokeOptions): Promise<unknown>;
  /** Of an application: it has no more than the ledger's keys and the provider. */
  keyringOf(process: Process): Keyring;
  /** By record set. Whoever writes to them beside the pipeline adds the `record` entry, in the same effect. */
  readonly stores: Readonly<Record<string, MemoryRecordStore>>;
  readonly backups: Backups;
  readonly rootKeys: TestRootKeys;
  /** Takes what other services of the account send to the default event bus. */
  readonly bus: Pick<BusModel, 'emit'>;
  /** By the approver's name. */
  readonly signers: Readonly<Record<string, Signer>>;
  /** Something that must never happen. */
  violated(rule: string, what: string): void;
}
