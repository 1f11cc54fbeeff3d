import { describe, expect, it } from 'vitest';
import { createKek, seal } from '../../shared/envelope/index.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { createMemoryArchive } from '../../simulation/models/archive.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createMemoryRecordStore } from '../../simulation/models/record-store.ts';
import { createTestRootKeys } from '../../simulation/models/root-keys.ts';

/** The models tell of everything that they commit, and of nothing else; and nobody can change what they hold. */

const KEY_ID = '01900000-0000-7000-8000-000000000001';

const key = (revision: number, more: Partial<TenantKey> = {}): TenantKey => ({
  keyId: KEY_ID,
  tenant: 'acme',
  purpose: 'default',
  active: 1,
  revision,
  rotationId: null,
  restoreEpoch: 0,
  activations: 1,
  canary: null,
  holds: [],
  createdAt: '2026-01-01T00:00:00.000Z',
  serves: [],
  versions: {},
  ...more,
});

describe('a ledger in memory', () => {
  const observed = () => {
    const seen: (readonly [string, string, unknown])[] = [];
    const ledger = createMemoryLedger({ onCommit: (...commit) => seen.push(commit) });
    return { ledger, seen };
  };

  it('tells of each item that it writes, as it then stands there', async () => {
    const { ledger, seen } = observed();
    await ledger.createKey(key(1));
    await ledger.replaceKey(key(2));
    await ledger.markUsed('acme', 'default', {
      version: 1,
      at: '',
      recordSet: null,
      recordId: null,
      field: null,
    });
    const id = '["acme","default"]';
    expect(seen.map(([item, name]) => [item, name])).toEqual(Array.from({ length: 3 }, () => ['keys', id]));
    expect(seen[1]?.[2]).toEqual(key(2));
    expect(seen[2]?.[2]).toBe(await ledger.getKey('acme', 'default'));
  });

  it('tells of a write that an event was left with, of the entry, the event and the mark', async () => {
    const { ledger, seen } = observed();
    const event = { eventId: 'e', at: '', actor: '', type: 't', detail: {}, tenant: 'acme' };
    const pending = { ...event, afterSequence: 0 };
    await ledger.leaving(pending).createKey(key(1));
    await ledger.createAuditEntry({ ...event, v: 1, sequence: 1, previous: null, hash: '' } as never);
    await ledger.createAuditEvent(pending);
    await ledger.putExportMark({ tenant: 'acme', sequence: 1, planned: null, revision: 1 });
    expect(seen.map(([item, name]) => [item, name])).toEqual([
      ['keys', '["acme","default"]'],
      ['audit', '["acme",1]'],
      ['events', '["acme","e"]'],
      ['marks', 'acme'],
    ]);
  });

  it('tells of a deletion, and of none where nothing was', async () => {
    const { ledger, seen } = observed();
    const record = { keyId: KEY_ID, recordSet: 'people', recordId: ['1'], field: 'email' };
    await ledger.deleteQuarantined(record);
    expect(seen).toEqual([]);
    const entry = { ...record, tenant: 'acme', purpose: 'default', code: 'X', version: 1, jobId: '', at: '' };
    await ledger.putQuarantined(entry);
    await ledger.deleteQuarantined(record);
    const id = JSON.stringify([KEY_ID, 'people', ['1'], 'email']);
    expect(seen).toEqual([
      ['quarantined', id, entry],
      ['quarantined', id, null],
    ]);
  });

  it('tells of nothing that was refused, was there already, or was said before', async () => {
    const { ledger, seen } = observed();
    await ledger.createKey(key(1));
    await ledger.createKey(key(1));
    await ledger.replaceKey(key(1));
    await expect(ledger.replaceKey(key(3))).rejects.toMatchObject({ code: 'REVISION_CONFLICT' });
    await expect(ledger.replaceKey(key(1, { active: 9 }))).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
    });
    expect(seen.length).toBe(1);
  });

  it('shares nothing with who wrote, and gives what nobody can change', async () => {
    const { ledger } = observed();
    const wrapped = { rootKeyId: 'r', materialId: null, wrapped: Uint8Array.of(1, 2, 3) };
    const mine = key(1, { versions: { 1: { version: 1, wrapped } as never } });
    await ledger.createKey(mine);
    Object.assign(mine, { active: 7 });
    wrapped.wrapped.fill(9);
    const read = await ledger.getKey('acme', 'default');
    expect(read).toMatchObject({
      active: 1,
      versions: { 1: { wrapped: { wrapped: Uint8Array.of(1, 2, 3) } } },
    });
    expect(() => Object.assign(read ?? {}, { active: 7 })).toThrow(TypeError);
    expect(() => Object.assign(read?.versions[1] ?? {}, { state: 'DESTROYED' })).toThrow(TypeError);
    expect(() => Object.assign(read?.holds ?? [], [1])).toThrow(TypeError);
  });
});

describe('a record store in memory', () => {
  const kek = (version: number) =>
    createKek({ keyId: KEY_ID, version, key: new Uint8Array(32).fill(version) });
  const envelope = (version: number) =>
    seal(
      Buffer.from('text'),
      kek(version),
      { tenant: 'acme', recordSet: 'people', recordId: ['1'], field: 'email' },
      (buffer) => buffer.fill(version),
    );
  const row = (values: (Uint8Array | null)[], id = '1') => ({
    key: [id],
    tenant: 'acme',
    values,
    plaintext: values.map(() => null),
  });
  const observed = () => {
    const seen: unknown[] = [];
    const store = createMemoryRecordStore('people', ['email', 'phone'], {
      onCommit: (change, { key: id, values }) => seen.push([change, id[0], values]),
    });
    return { store, seen };
  };

  it('tells of every write and of who made it, and keeps the row of before as it was', async () => {
    const { store, seen } = observed();
    const [one, two] = [envelope(1), envelope(2)];
    store.put(row([one, null]));
    const before = new Map(store.rows);
    const change = { key: ['1'], tenant: 'acme', changes: [{ field: 0, before: one, after: two }] };
    expect(await store.replace([change, change])).toEqual(['replaced', 'conflict']);
    expect(await store.replace([{ ...change, tenant: 'other' }])).toEqual(['conflict']);
    expect(store.remove(['1'])).toBe(true);
    expect(store.remove(['1'])).toBe(false);
    expect(seen).toEqual([
      ['put', '1', [one, null]],
      ['rewrap', '1', [two, null]],
      ['remove', '1', [two, null]],
    ]);
    expect(before.get('["1"]')?.values).toEqual([one, null]);
  });

  it('refuses an envelope below the minimum to an application and to the pipeline, and then writes nothing', async () => {
    const { store, seen } = observed();
    store.minimums = new Map();
    store.put(row([envelope(1), null]));
    store.put(row([envelope(1), null], '2'));
    await store.setMinimum({ keyId: KEY_ID, version: 2, revision: 1 });
    const fenced = { name: 'RecordStoreError', code: 'STORE_FENCED', retryable: true };
    expect(thrownBy(() => store.put(row([envelope(2), envelope(1)])))).toMatchObject(fenced);
    expect(thrownBy(() => store.put(row([envelope(1)], '3')))).toMatchObject(fenced);
    const change = (id: string, after: Uint8Array) => ({
      key: [id],
      tenant: 'acme',
      changes: [{ field: 0, before: envelope(1), after }],
    });
    const older = envelope(1);
    older[30] = 1;
    await expect(store.replace([change('1', envelope(2)), change('2', older)])).rejects.toMatchObject(fenced);
    expect(seen.length).toBe(2);
    // What is left as it was passes, and so does what names no key with a minimum.
    store.put(row([envelope(1), envelope(2)]));
    store.put(row([envelope(1), Buffer.from('no envelope')]));
    store.put(row([null, null]));
    expect(seen.length).toBe(5);
  });
});

describe('the other models', () => {
  it('tell of every KEK that was made, and of every object that was put', async () => {
    const keks: (readonly [number, Uint8Array])[] = [];
    const { provider } = createTestRootKeys({ onKek: ({ version }, kek) => keks.push([version, kek]) });
    const context = { tenant: 'acme', purpose: 'default', keyId: KEY_ID, version: 1 };
    const wrapped = await provider.generateKek(context);
    const opened = (await provider.unwrapKek(wrapped, context)).export();
    await provider.rewrapKek(wrapped, context);
    expect(keks).toEqual([[1, opened]]);

    const put: string[] = [];
    const archive = createMemoryArchive({ onPut: (name) => put.push(name) });
    await archive.put('a', Uint8Array.of(1));
    await archive.put('a', Uint8Array.of(2));
    expect(put).toEqual(['a']);
  });
});

function thrownBy(run: () => void): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return null;
}
