import { createHash } from 'node:crypto';
import type { HappenedEvent, HistoryEntry } from './history.ts';

/** Writes down what happens, and takes the digest of all of it, in order: two runs of a seed have the same. */
export interface Recorder {
  readonly entries: readonly HistoryEntry[];
  /** Empty unless lines are kept. */
  readonly lines: readonly string[];
  add(event: HappenedEvent): HistoryEntry;
  trace(line: string): void;
  /** Of everything so far, hex. Asked for once. */
  hash(): string;
}

const HASHED_AT_ONCE = 8192;

export function createRecorder(now: () => number, keepLines: boolean): Recorder {
  const entries: HistoryEntry[] = [];
  const lines: string[] = [];
  const hash = createHash('sha256');
  let unhashed = '';
  /** A moment's text is made once, however much happens in it. */
  let moment = Number.NaN;
  let momentText = '';
  const write = (line: string) => {
    const at = now();
    if (at !== moment) {
      moment = at;
      momentText = String(at);
    }
    unhashed += `${momentText} ${line}\n`;
    if (unhashed.length > HASHED_AT_ONCE) {
      hash.update(unhashed);
      unhashed = '';
    }
    if (keepLines) lines.push(`${new Date(at).toISOString()} ${line}`);
  };
  return {
    entries,
    lines,
    add(event) {
      const entry = { ...event, seq: entries.length, at: now() };
      entries.push(entry);
      write(describe(event));
      return entry;
    },
    trace: write,
    hash: () => hash.update(unhashed).digest('hex'),
  };
}

function describe(event: HappenedEvent): string {
  switch (event.kind) {
    case 'item':
      return `= ${event.item} ${event.id} ${revisionOf(event.value)} by ${event.by}`;
    case 'record':
      return `= record ${event.recordSet} ${event.id.join('/')} ${event.values === null ? 'deleted' : event.cause} by ${event.by}`;
    case 'kek':
      return `= kek ${event.tenant}/${event.purpose} version ${event.version}`;
    case 'read':
      return `= read ${event.recordSet} ${event.id.join('/')} ${event.field}: ${event.code ?? 'opened'} by ${event.by}`;
    case 'given':
      return `= given ${event.keyId} version ${event.version} to ${event.by}`;
    case 'refused':
      return `= refused ${event.what} of ${event.where}: ${event.code} by ${event.by}`;
    case 'execution':
      return `= execution ${event.name} ${event.state}`;
    case 'fault':
      return `! ${event.fault}: ${event.where}`;
    case 'backup':
    case 'backup-lapsed':
      return `= ${event.kind} ${event.backupId}`;
    case 'deployment':
      return `= deployment ${event.phase}`;
    case 'restored':
      return `= restored ${event.backupId} by restore ${event.restoreId}`;
    case 'root-key':
      return `= root key ${event.rootKeyId} ${event.state}`;
    case 'archived':
      return `= archived ${event.name}`;
    case 'published':
    case 'config':
    case 'quiet':
    case 'end':
      return `= ${event.kind}`;
  }
}

function revisionOf(value: unknown): string {
  if (value === null) return 'deleted';
  const { revision, status } = value as { revision?: number; status?: string };
  return [revision === undefined ? '' : `revision ${revision}`, status ?? ''].join(' ');
}
