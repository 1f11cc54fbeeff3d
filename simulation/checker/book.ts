import type { ConfigEntry, HistoryEntry, ItemEntry } from './entries.ts';
import {
  type Approval,
  type Job,
  type Key,
  type Quarantined,
  type Request,
  type Restore,
  readApproval,
  readJob,
  readKey,
  readQuarantined,
  readRequest,
  readRestore,
} from './items.ts';
import { createOpener, type Opener } from './opener.ts';
import { numberOf, partsOf, textOf } from './parts.ts';
import { createRecords, type Records, type RowChange, rowName } from './records.ts';

/** All that is known up to an entry: what the rules look things up in. While they look at an entry, it is not in here yet. */
export interface Book {
  readonly config: ConfigEntry;
  readonly opener: Opener;
  readonly records: Records;
  /** By key id. */
  readonly keys: ReadonlyMap<string, Key>;
  readonly jobs: ReadonlyMap<string, Job>;
  readonly restores: ReadonlyMap<string, Restore>;
  /** By the name of a value: see `valueName`. */
  readonly quarantined: ReadonlyMap<string, Quarantined>;
  /** Quarantined values whose version cannot be told, by their names, with when they were set aside. */
  readonly untold: ReadonlyMap<string, Quarantined & Moment>;
  readonly requests: ReadonlyMap<string, Request>;
  /** By request. */
  readonly approvals: ReadonlyMap<string, readonly Approval[]>;
  /** Each activation of each version of a key, in order. */
  readonly activations: ReadonlyMap<string, readonly Activation[]>;
  /** When a job came to its present CENSUS, or its last one. */
  readonly censusBegan: ReadonlyMap<string, Moment>;
  /** When a count of a job was written last. */
  readonly lastCount: ReadonlyMap<string, Moment>;
  /** Root keys that cannot be used, and since when (true time). */
  readonly unusable: ReadonlyMap<string, number>;
  /** When each root key could be used again, last. */
  readonly usableAgain: ReadonlyMap<string, number>;
  /** Kinds that fired. */
  readonly faults: ReadonlySet<string>;
  /** Of `config.rotation`; milliseconds. 0: it is not there. */
  milliseconds(setting: string): number;
  keep(change: Change): void;
}

export interface Moment {
  readonly seq: number;
  readonly at: number;
}

export interface Activation extends Moment {
  readonly version: number;
}

/** An entry, and what it changes. */
export type Change =
  | { readonly is: 'key'; readonly entry: HistoryEntry; readonly before: Key | null; readonly after: Key }
  | {
      readonly is: 'job';
      readonly entry: HistoryEntry & ItemEntry;
      readonly before: Job | null;
      readonly after: Job;
    }
  | {
      readonly is: 'restore';
      readonly entry: HistoryEntry;
      readonly before: Restore | null;
      readonly after: Restore;
    }
  | {
      readonly is: 'record';
      readonly entry: Extract<HistoryEntry, { kind: 'record' }>;
      readonly row: RowChange;
    }
  | { readonly is: 'entry'; readonly entry: HistoryEntry };

const NO_CONFIG: ConfigEntry = {
  kind: 'config',
  tenants: [],
  recordSets: {},
  rotation: {},
  approvalsRequired: 0,
};

export function createBook(): Book & { changeOf(entry: HistoryEntry): Change } {
  let config = NO_CONFIG;
  const opener = createOpener();
  const records = createRecords(() => config.recordSets);
  const keys = new Map<string, Key>();
  const jobs = new Map<string, Job>();
  const restores = new Map<string, Restore>();
  const quarantined = new Map<string, Quarantined>();
  /** What a deletion deletes: by the id of the item. */
  const quarantinedIds = new Map<string, string>();
  const untold = new Map<string, Quarantined & Moment>();
  const requests = new Map<string, Request>();
  const approvals = new Map<string, Approval[]>();
  const activations = new Map<string, Activation[]>();
  const censusBegan = new Map<string, Moment>();
  const lastCount = new Map<string, Moment>();
  const unusable = new Map<string, number>();
  const usableAgain = new Map<string, number>();
  const faults = new Set<string>();

  const keepKey = ({ seq, at }: Moment, before: Key | null, after: Key) => {
    keys.set(after.keyId, after);
    if (after.active === 0 || after.active === before?.active) return;
    const list = activations.get(after.keyId) ?? [];
    list.push({ seq, at, version: after.active });
    activations.set(after.keyId, list);
  };
  const keepJob = ({ seq, at }: Moment, before: Job | null, after: Job) => {
    jobs.set(after.jobId, after);
    if (after.status === 'CENSUS' && before?.status !== 'CENSUS') censusBegan.set(after.jobId, { seq, at });
  };
  const keepItem = ({ seq, at }: Moment, item: string, id: string, value: unknown) => {
    if (item === 'quarantined') {
      const name = quarantinedIds.get(id);
      if (name !== undefined) {
        quarantined.delete(name);
        untold.delete(name);
      }
      if (value === null) return;
      const found = readQuarantined(value);
      const now = valueName(found.recordSet, found.recordId, found.field);
      quarantinedIds.set(id, now);
      quarantined.set(now, found);
      if (found.version === null && found.code === 'ENVELOPE_MALFORMED')
        untold.set(now, { ...found, seq, at });
    } else if (item === 'approvalRequests') {
      const request = readRequest(value);
      requests.set(request.requestId, request);
    } else if (item === 'approvals') {
      const approval = readApproval(value);
      const list = approvals.get(approval.requestId) ?? [];
      list.push(approval);
      approvals.set(approval.requestId, list);
    } else if (item === 'censuses') {
      lastCount.set(textOf(partsOf(value)['jobId']), { seq, at });
    }
  };
  const keepEntry = (entry: HistoryEntry) => {
    switch (entry.kind) {
      case 'config':
        config = entry;
        break;
      case 'kek':
        opener.learn(entry.keyId, entry.version, entry.kek);
        break;
      case 'item':
        keepItem(entry, entry.item, entry.id, entry.value);
        break;
      case 'backup':
        records.backUp(entry.backupId, entry.store);
        break;
      case 'backup-lapsed':
        records.lapse(entry.backupId);
        break;
      case 'restored':
        records.restore(entry.backupId);
        break;
      case 'root-key':
        if (isUsable(entry.state)) {
          if (unusable.delete(entry.rootKeyId)) usableAgain.set(entry.rootKeyId, entry.at);
        } else if (!unusable.has(entry.rootKeyId)) unusable.set(entry.rootKeyId, entry.at);
        break;
      case 'fault':
        faults.add(entry.fault);
        break;
    }
  };

  return {
    get config() {
      return config;
    },
    ...{ opener, records, keys, jobs, restores, quarantined, untold, requests, approvals, activations },
    ...{ censusBegan, lastCount, unusable, usableAgain, faults },
    milliseconds(setting) {
      const seconds = numberOf(config.rotation[setting]);
      return Number.isNaN(seconds) ? 0 : seconds * 1000;
    },
    changeOf(entry) {
      if (entry.kind === 'record') return { is: 'record', entry, row: records.changeOf(entry) };
      if (entry.kind !== 'item' || entry.value === null) return { is: 'entry', entry };
      switch (entry.item) {
        case 'keys': {
          const after = readKey(entry.value);
          return { is: 'key', entry, before: keys.get(after.keyId) ?? null, after };
        }
        case 'jobs': {
          const after = readJob(entry.value);
          return { is: 'job', entry, before: jobs.get(after.jobId) ?? null, after };
        }
        case 'restores': {
          const after = readRestore(entry.value);
          return { is: 'restore', entry, before: restores.get(after.restoreId) ?? null, after };
        }
        default:
          return { is: 'entry', entry };
      }
    },
    keep(change) {
      switch (change.is) {
        case 'key':
          return keepKey(change.entry, change.before, change.after);
        case 'job':
          return keepJob(change.entry, change.before, change.after);
        case 'restore':
          restores.set(change.after.restoreId, change.after);
          return;
        case 'record':
          return records.keep(change.entry, change.row);
        case 'entry':
          return keepEntry(change.entry);
      }
    },
  };
}

export function valueName(recordSet: string, id: readonly string[], field: string): string {
  return `${rowName(recordSet, id)} ${field}`;
}

/** Of the states that a provider names only these let a key be used; one that is out of reach says nothing. */
function isUsable(state: string): boolean {
  return state === 'ENABLED' || state === 'UNAVAILABLE';
}
