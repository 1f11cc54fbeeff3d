import { createSecretKey } from 'node:crypto';
import { createKek, inspect, isTombstone, type Kek, open } from '../shared/envelope/index.ts';
import { EnvelopeError } from '../shared/errors/errors.ts';
import type { KeyVersion, TenantKey } from '../shared/keyring/key.ts';
import type { HappenedEvent } from './history.ts';

/**
 * What can be read, and with which versions, after every commit (docs/protocol.md), by the envelope library that
 * applications use. The checker looks at the same, and at all other rules, by code of its own.
 */

type Violated = (rule: string, what: string) => void;
type RecordEvent = Extract<HappenedEvent, { kind: 'record' }>;
/** By record set, then by record id. */
type Rows = Map<string, Map<string, Row>>;

interface Row {
  readonly tenant: string;
  readonly id: readonly string[];
  readonly values: readonly (Uint8Array | null)[];
  /** By field; null: nobody needs to be able to read it. */
  readonly expected: readonly (Uint8Array | null)[];
}

export interface Invariants {
  /** Every event of the history, when it happens. */
  see(event: HappenedEvent): void;
}

export function createInvariants(violated: Violated): Invariants {
  const keys = new Map<string, TenantKey>();
  const keks = new Map<string, Kek>();
  const rows: Rows = new Map();
  const backups = new Map<string, Rows>();
  /** Also those that have lapsed: somebody may restore one still. */
  const taken = new Map<string, Rows>();
  let fieldsOf: Readonly<Record<string, { readonly store: string; readonly fields: readonly string[] }>> = {};
  let restoring: Rows = new Map();

  function seeRecord(event: RecordEvent): void {
    const table = tableOf(rows, event.recordSet);
    const name = JSON.stringify(event.id);
    if (event.values === null) {
      table.delete(name);
      return;
    }
    const row = {
      tenant: event.tenant,
      id: event.id,
      values: event.values,
      expected: expectedOf(event, table.get(name)),
    };
    table.set(name, row);
    for (const [field, value] of row.values.entries()) seeValue(event, row, field, value);
  }

  function expectedOf(event: RecordEvent, before: Row | undefined): readonly (Uint8Array | null)[] {
    const values = event.values ?? [];
    if (event.cause === 'application') return event.plaintexts ?? [];
    if (event.cause === 'restore')
      return (
        restoring.get(event.recordSet)?.get(JSON.stringify(event.id))?.expected ?? values.map(() => null)
      );
    const known = before?.expected ?? [];
    if (event.cause === 'pipeline') return known;
    // What was damaged or given up, nobody can read, and nobody has to.
    return values.map((value, i) => (value === before?.values[i] ? (known[i] ?? null) : null));
  }

  function seeValue(event: RecordEvent, row: Row, field: number, value: Uint8Array | null): void {
    const expected = row.expected[field] ?? null;
    if (value === null || expected === null) return;
    const where = `${event.recordSet} ${event.id.join('/')} field ${field}, written by ${event.by},`;
    try {
      const { keyId, version } = inspect(value);
      const kek = keks.get(kekName(keyId, version));
      const [rule, what] = troubleWith(versionOf(keyId, version));
      if (rule !== null) violated(rule, `${where} names version ${version}, which ${what}`);
      if (kek === undefined) return;
      const name = fieldsOf[event.recordSet]?.fields[field] ?? '';
      const context = { tenant: row.tenant, recordSet: event.recordSet, recordId: row.id, field: name };
      if (!isSame(open(value, kek, context), expected)) violated('2', `${where} has another plaintext`);
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      violated('2', `${where} does not decrypt: ${error.code}`);
    }
  }

  function versionOf(keyId: string, version: number): KeyVersion | undefined {
    return keys.get(keyId)?.versions[String(version)];
  }

  function seeKey(key: TenantKey): void {
    const before = keys.get(key.keyId);
    keys.set(key.keyId, key);
    const active = Object.values(key.versions).filter(({ state }) => state === 'ACTIVE');
    const suspended = Object.values(key.versions).some(({ state }) => state === 'SUSPENDED');
    const named = key.versions[String(key.active)];
    if (active.length > 1 || (active.length === 0 && !suspended && key.active !== 0))
      violated('3', `key of ${key.tenant} has ${active.length} active versions`);
    if (key.active !== 0 && !['ACTIVE', 'SUSPENDED'].includes(named?.state ?? ''))
      violated(
        '3',
        `key of ${key.tenant} points at version ${key.active}, which is ${named?.state ?? 'missing'}`,
      );
    for (const version of Object.values(key.versions)) {
      const was = before?.versions[String(version.version)];
      if (version.wrapped === null && was !== undefined && was.wrapped !== null)
        seeErased(key, version.version);
    }
  }

  function seeErased(key: TenantKey, version: number): void {
    const places = [
      ['a live record', rows] as const,
      ...[...backups].map(([id, kept]) => [`backup ${id}`, kept] as const),
    ];
    for (const [place, kept] of places) {
      for (const [recordSet, table] of kept) {
        for (const row of table.values()) {
          if (
            row.values.some(
              (value, i) => (row.expected[i] ?? null) !== null && names(value, key.keyId, version),
            )
          )
            violated(
              '1',
              `version ${version} of ${key.tenant} is destroyed, and ${place} of ${recordSet} needs it`,
            );
        }
      }
    }
  }

  return {
    see(event) {
      if (event.kind === 'config') fieldsOf = event.recordSets;
      else if (event.kind === 'kek') keks.set(kekName(event.keyId, event.version), kekOf(event));
      else if (event.kind === 'record') seeRecord(event);
      else if (event.kind === 'item' && event.item === 'keys' && event.value !== null)
        seeKey(event.value as TenantKey);
      else if (event.kind === 'item' && event.item === 'pages' && event.value !== null)
        seePage(event.value as Counted, violated);
      else if (event.kind === 'backup') {
        const copy = copyOf(rows, (set) => fieldsOf[set]?.store === event.store);
        backups.set(event.backupId, copy);
        taken.set(event.backupId, copy);
      } else if (event.kind === 'backup-lapsed') backups.delete(event.backupId);
      else if (event.kind === 'restored') restoring = taken.get(event.backupId) ?? new Map();
    },
  };
}

/** The rule that a record which names this version breaks. */
function troubleWith(version: KeyVersion | undefined): readonly [string, string] | readonly [null] {
  if (version === undefined) return ['4', 'is not in the ledger'];
  if (version.wrapped === null) return ['1', 'is destroyed'];
  if (version.activatedAt === null) return ['4', 'was never activated'];
  return [null];
}

interface Counted {
  readonly planned: number;
  readonly rewrapped: number;
  readonly skipped: number;
  readonly quarantined: number;
  readonly done: readonly number[];
}

function seePage({ planned, rewrapped, skipped, quarantined, done }: Counted, violated: Violated): void {
  const counted = rewrapped + skipped + quarantined;
  if (counted > planned || new Set(done).size !== done.length)
    violated('15', `a page of ${planned} records has ${counted} counted, chunks ${done.join(', ')}`);
}

function kekOf({ keyId, version, kek }: Extract<HappenedEvent, { kind: 'kek' }>): Kek {
  return createKek({ keyId, version, key: createSecretKey(kek) });
}

function kekName(keyId: string, version: number): string {
  return `${keyId}/${version}`;
}

function names(value: Uint8Array | null, keyId: string, version: number): boolean {
  if (value === null || isTombstone(value)) return false;
  try {
    const info = inspect(value);
    return info.keyId === keyId && info.version === version;
  } catch (error) {
    if (error instanceof EnvelopeError) return false;
    throw error;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function tableOf(rows: Rows, recordSet: string): Map<string, Row> {
  const known = rows.get(recordSet) ?? new Map<string, Row>();
  rows.set(recordSet, known);
  return known;
}

/** Rows are never changed in place. */
function copyOf(rows: Rows, wanted: (recordSet: string) => boolean): Rows {
  return new Map([...rows].filter(([set]) => wanted(set)).map(([set, table]) => [set, new Map(table)]));
}
