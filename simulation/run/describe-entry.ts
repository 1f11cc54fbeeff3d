import { createHash } from 'node:crypto';
import { inspect, isTombstone } from '../../shared/envelope/index.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import type { HistoryEntry } from '../history.ts';

/** One line of a history for people: what it says of keys, jobs and records, and of other items that they changed. */
export function describeEntry(entry: HistoryEntry): string {
  return `${String(entry.seq).padStart(5)}  ${new Date(entry.at).toISOString().slice(5, 23)}  ${textOf(entry)}`;
}

type Parts = Readonly<Record<string, unknown>>;

function textOf(entry: HistoryEntry): string {
  switch (entry.kind) {
    case 'item':
      return `${itemText(entry.item, entry.value as Parts | null, entry.id)}  (${entry.by})`;
    case 'record': {
      const values = entry.values?.map(valueText).join(', ') ?? 'deleted';
      return `record ${entry.recordSet}/${entry.id.join('/')} of ${entry.tenant} by ${entry.cause}: ${values}  (${entry.by})`;
    }
    case 'read':
      return `read ${entry.recordSet}/${entry.id.join('/')} ${entry.field}, ${valueText(entry.envelope)}: ${entry.code ?? 'opened'}  (${entry.by})`;
    case 'kek':
      return `kek ${entry.tenant}/${entry.purpose} version ${entry.version} made`;
    case 'given':
      return `version ${entry.version} of ${entry.keyId} given, which was fenced ${entry.fencedAt}  (${entry.by})`;
    case 'refused':
      return `${entry.what} of ${entry.where} refused: ${entry.code}  (${entry.by})`;
    case 'execution':
      return `execution ${entry.name} of ${entry.machine} ${entry.state}`;
    case 'published':
      return `published ${shorten(JSON.stringify(entry.event))}`;
    case 'archived':
      return `archived ${entry.name}`;
    case 'backup':
      return `backup ${entry.backupId} of ${entry.store}`;
    case 'backup-lapsed':
      return `backup ${entry.backupId} lapsed`;
    case 'restored':
      return `backup ${entry.backupId} comes back, restore ${entry.restoreId}`;
    case 'root-key':
      return `root key ${entry.rootKeyId} is ${entry.state}`;
    case 'fault':
      return `FAULT ${entry.fault}: ${entry.where}`;
    case 'deployment':
      return `DEPLOYMENT ${entry.phase}`;
    case 'config':
      return `config ${shorten(JSON.stringify(entry.rotation))}`;
    case 'quiet':
      return 'faults stop';
    case 'end':
      return 'end';
  }
}

function itemText(item: string, value: Parts | null, id: string): string {
  if (value === null) return `${item} ${id} deleted`;
  const all = (...names: readonly string[]) =>
    names
      .filter((name) => value[name] !== undefined && value[name] !== null)
      .map((name) => `${name} ${plain(value[name])}`)
      .join(', ');
  switch (item) {
    case 'keys': {
      const versions = Object.values(value['versions'] as Readonly<Record<string, Parts>>);
      const states = versions.map(({ version, state }) => `${plain(version)} ${plain(state)}`).join(', ');
      return `key ${plain(value['tenant'])}/${plain(value['purpose'])}: ${states}; ${all('revision', 'active', 'rotationId', 'restoreEpoch', 'canary')}`;
    }
    case 'jobs':
      return `${plain(value['kind'])} ${id} of ${plain(value['tenant'])} ${plain(value['status'])}: ${all('revision', 'goal', 'from', 'to', 'attempt', 'round', 'blocker', 'pause')}`;
    case 'audit':
      return `audit ${all('sequence', 'type', 'eventId')}`;
    default:
      return `${item} ${shorten(id)}: ${all('status', 'revision', 'done', 'rewrapped', 'skipped', 'quarantined', 'code', 'version', 'approver', 'action')}`;
  }
}

/** The version that it names, and a few digits that tell one from the next. */
function valueText(value: Uint8Array | null): string {
  if (value === null) return 'NULL';
  const digest = createHash('sha256').update(value).digest('hex').slice(0, 6);
  if (isTombstone(value)) return `tombstone #${digest}`;
  try {
    return `version ${inspect(value).version} #${digest}`;
  } catch (error) {
    if (error instanceof KeyturnError) return `${error.code} #${digest}`;
    throw error;
  }
}

function plain(value: unknown): string {
  return typeof value === 'object' ? shorten(JSON.stringify(value)) : String(value);
}

function shorten(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 119)}…`;
}
