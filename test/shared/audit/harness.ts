import { expect } from 'vitest';
import type { AuditEntry } from '../../../shared/audit/entry.ts';
import type { AuditEvent, AuditStore } from '../../../shared/audit/outbox.ts';

export function eventNamed(eventId: string): AuditEvent {
  return { eventId, at: '2026-01-01T00:00:00.000Z', actor: 'function:test', type: 'test.event', detail: {} };
}

export async function readChain(store: AuditStore, tenant: string): Promise<readonly AuditEntry[]> {
  const items = await store.listAuditEntries(tenant, 1, 1_000_000);
  return items.map(({ entry }) => {
    if (entry === null) throw new Error('no entry');
    return entry;
  });
}

/** From 1 on, without a gap, each with the hash of the one before, and each event once. */
export function requireLinked(entries: readonly AuditEntry[]): void {
  expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, i) => i + 1));
  expect(entries.map(({ previous }) => previous)).toEqual(
    [null, ...entries.slice(0, -1).map((e) => e.hash)].slice(0, entries.length),
  );
  expect(new Set(entries.map(({ eventId }) => eventId)).size).toBe(entries.length);
}
