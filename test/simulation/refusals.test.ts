import { expect, it } from 'vitest';
import type { PendingEvent } from '../../shared/audit/outbox.ts';
import type { HappenedEvent } from '../../simulation/history.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createMemoryRecordStore } from '../../simulation/models/record-store.ts';
import { ledgerTelling, storeTelling } from '../../simulation/refusals.ts';
import { testJob, testKey } from '../contracts/ledger.ts';

function told() {
  const events: HappenedEvent[] = [];
  const history = { entries: [], add: (event: HappenedEvent) => void events.push(event) };
  return { events, told: { history, acting: { by: 'process-chunk#1' } } };
}
const refused = (where: string, code: string): HappenedEvent => ({
  ...{ kind: 'refused', what: 'write', where, code, by: 'process-chunk#1' },
});

it('A write of a record that changed meanwhile is told; one that stands is not', async () => {
  const { events, told: by } = told();
  const memory = createMemoryRecordStore('people', ['email']);
  const store = storeTelling(memory, by);
  const [before, after, other] = [1, 2, 3].map((byte) => Uint8Array.of(byte));
  if (before === undefined || after === undefined || other === undefined) return;
  memory.put({ key: ['1'], tenant: 'acme', values: [before], plaintext: [] });
  const change = { key: ['1'], tenant: 'acme', changes: [{ field: 0, before, after }] };
  expect(await store.replace([change])).toEqual(['replaced']);
  expect(events).toEqual([]);
  expect(await store.replace([change])).toEqual(['conflict']);
  expect(events).toEqual([refused('people 1', 'CONFLICT')]);
});

it('A write of a key or a job that somebody else changed is told, whatever is left with it', async () => {
  const { events, told: by } = told();
  const ledger = ledgerTelling(createMemoryLedger(), by);
  const event: PendingEvent = {
    ...{ eventId: 'e', at: '2026-01-01T00:00:00.000Z', actor: 'a', type: 't', detail: {} },
    ...{ tenant: 'acme', afterSequence: 0 },
  };
  await ledger.createKey(testKey());
  await ledger.createJob(testJob());
  const key = testKey({ revision: 2, restoreEpoch: 1 });
  await ledger.replaceKey(key);
  expect(events).toEqual([]);
  await expect(ledger.leaving(event).replaceKey({ ...key, restoreEpoch: 2 })).rejects.toMatchObject({
    code: 'REVISION_CONFLICT',
  });
  await expect(ledger.replaceJob(testJob({ revision: 3 }))).rejects.toMatchObject({
    code: 'REVISION_CONFLICT',
  });
  expect(events).toEqual([
    refused(`key ${key.keyId}`, 'REVISION_CONFLICT'),
    refused('job job-1', 'REVISION_CONFLICT'),
  ]);
});
