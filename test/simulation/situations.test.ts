import { describe, expect, it } from 'vitest';
import type { ApprovalRequest } from '../../shared/approvals/approval.ts';
import { createKek, seal } from '../../shared/envelope/index.ts';
import type { Hold, KeyVersion, TenantKey } from '../../shared/keyring/key.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import type { BlockerCode, Job, PauseReason } from '../../shared/rotation/rotation.ts';
import type { HappenedEvent, HistoryEntry } from '../../simulation/history.ts';
import { SITUATIONS } from '../../simulation/situations/list.ts';
import { situationsIn } from '../../simulation/situations/situations-in.ts';
import { testJob, testKey } from '../contracts/ledger.ts';

/** Each situation, in the fewest entries that bring it about, and the same where one thing is otherwise. */

const START = Date.UTC(2026, 0, 2);
const AT = new Date(START).toISOString();
const LATER = new Date(START + 3_600_000).toISOString();
const KEY_ID = testKey().keyId;

type Version = Partial<KeyVersion>;

function item(kind: string, id: string, value: unknown): HappenedEvent {
  return { kind: 'item', item: kind, id, value, by: 'test' };
}

const rotation = (status: Job['status'], changes: Partial<Job> = {}) =>
  item('jobs', 'job-1', testJob({ status, ...changes }));
const purge = (status: Job['status'], changes: Partial<Job> = {}) =>
  item('jobs', 'purge-1', testJob({ jobId: 'purge-1', kind: 'purge', from: 1, to: 0, status, ...changes }));
const paused = (reason: PauseReason): Partial<Job> => ({
  pause: { reason, rootKeyId: null, by: null, at: AT },
});
const blocked = (code: BlockerCode): Partial<Job> => ({ blocker: { code, message: '', at: AT } });

/** Version 1 was left, and 2 is active; `first`: what else there is to version 1. */
function key(first: Version, changes: Partial<TenantKey> = {}, second: Version = {}): HappenedEvent {
  const base = testKey();
  const made = base.versions['1'];
  if (made === undefined) throw new Error('A new key has version 1');
  const versions = {
    1: { ...made, state: 'RETIRING' as const, ...first },
    2: { ...made, version: 2, state: 'ACTIVE' as const, ...second },
  };
  return item('keys', base.tenant, { ...base, active: 2, versions, ...changes });
}
const FENCED: Version = { state: 'DESTROY_PENDING', destroyPendingAt: AT };
const DECIDED: Version = { ...FENCED, destroyAuthorizedAt: AT };
const USED: Partial<TenantKey> = {
  canary: { version: 1, at: AT, recordSet: null, recordId: null, field: null },
};
const hold = (changes: Partial<Hold>): Partial<TenantKey> => ({
  holds: [
    {
      ...{ holdId: 'h', versions: [1], reason: 'PERSON', store: null, note: null, by: 'ann' },
      ...{ at: AT, until: null, endedEpoch: null, ...changes },
    },
  ],
});

const restore = (status: Restore['status']) =>
  item('restores', 'r', {
    ...{
      restoreId: 'r',
      store: 'main',
      backupTime: AT,
      backupEnd: AT,
      status,
      keys: null,
      requestedBy: 'ann',
    },
    ...{ begunAt: AT, readyAt: null, endedAt: null, refusal: null, revision: 1 },
  } satisfies Restore);

/** It waits for the approvals of request `q`, which expires at `expiresAt`. */
function awaited(expiresAt: string): HappenedEvent[] {
  const request: Partial<ApprovalRequest> = {
    ...{ requestId: 'q', action: 'purge', keyId: KEY_ID, version: 1, expiresAt },
  };
  return [
    item('approvalRequests', 'q', request),
    purge('PAUSED', { ...paused('APPROVAL'), approvalId: 'q' }),
  ];
}
const approval = item('approvals', 'q/ada', { requestId: 'q', approver: 'ada' });
const voided = (why: string) => item('approvalVoids', 'q', { requestId: 'q', at: AT, why });
const asked = (approvalsRequired: number): HappenedEvent => ({
  ...{ kind: 'config', tenants: ['acme'], recordSets: {}, rotation: {}, approvalsRequired },
});

const kek = (version: number) => createKek({ keyId: KEY_ID, version, key: Buffer.alloc(32, 7) });
type Cause = Extract<HappenedEvent, { kind: 'record' }>['cause'];
function record(cause: Cause, version = 2): HappenedEvent {
  const context = { tenant: 'acme', recordSet: 'people', recordId: ['1'], field: 'email' };
  const values = [seal(Buffer.from('x'), kek(version), context)];
  return {
    ...{ kind: 'record', recordSet: 'people', id: ['1'], tenant: 'acme', values, cause },
    ...{ plaintexts: null, by: 'test' },
  };
}
const quarantined = (recordId: string) =>
  item('quarantined', recordId, { keyId: KEY_ID, recordSet: 'people', recordId: [recordId], field: 'email' });
const refused = (what: 'write' | 'restore', code: string, by = 'process-chunk#1'): HappenedEvent => ({
  ...{ kind: 'refused', what, where: 'people 1', code, by },
});
const zombie = (name: string): HappenedEvent => ({
  ...{ kind: 'fault', fault: 'zombie', where: `${name} store.replaceFrames` },
});

type Events = readonly HappenedEvent[];
const CASES: Readonly<Record<string, readonly [brings: Events, not: Events]>> = {
  'swept-again': [
    [rotation('CENSUS'), rotation('SWEEPING')],
    [rotation('PREPARING'), rotation('SWEEPING')],
  ],
  'rounds-used-up': [
    [rotation('CENSUS'), rotation('BLOCKED', blocked('STALE_RECORDS'))],
    [rotation('CENSUS'), rotation('BLOCKED', blocked('STEP_FAILED'))],
  ],
  'rounds-used-up-and-done': [
    [rotation('CENSUS'), rotation('BLOCKED', blocked('STALE_RECORDS')), rotation('COMPLETED')],
    [rotation('CENSUS'), rotation('BLOCKED', blocked('STEP_FAILED')), rotation('COMPLETED')],
  ],
  'rollback-in-sweep': [
    [
      rotation('SWEEPING'),
      rotation('CANCELLED', { cancelled: { by: 'test', at: AT } }),
      rotation('REQUESTED', { jobId: 'back', goal: 'ROLLBACK', from: 2, to: 1 }),
    ],
    [
      rotation('SWEEPING'),
      rotation('CANCELLED', { cancelled: { by: 'somebody else', at: AT } }),
      rotation('REQUESTED', { jobId: 'back', goal: 'ROLLBACK', from: 2, to: 1 }),
    ],
  ],
  'paused-then-cancelled': [
    [rotation('PAUSED', paused('PERSON')), rotation('CANCELLED')],
    [rotation('BARRIER'), rotation('CANCELLED')],
  ],
  'cancelled-unproved': [
    [rotation('PREPARING'), rotation('CANCELLED')],
    [rotation('SWEEPING'), rotation('CANCELLED')],
  ],
  'cancelled-then-done': [
    [rotation('CANCELLED'), rotation('REQUESTED'), rotation('COMPLETED')],
    [rotation('BLOCKED'), rotation('REQUESTED'), rotation('COMPLETED')],
  ],
  'suspended-in-sweep': [
    [rotation('SWEEPING'), rotation('PAUSED', paused('ROOT_KEY')), rotation('COMPLETED')],
    [rotation('SWEEPING'), rotation('PAUSED', paused('PERSON')), rotation('COMPLETED')],
  ],
  'failed-then-done': [
    [rotation('SWEEPING'), rotation('BLOCKED', blocked('STEP_FAILED')), rotation('COMPLETED')],
    [rotation('SWEEPING'), rotation('BLOCKED', blocked('OPEN_TRANSACTIONS')), rotation('COMPLETED')],
  ],
  'execution-lost': [
    [rotation('SWEEPING'), rotation('SWEEPING', { attempt: 2 })],
    [rotation('BLOCKED'), rotation('REQUESTED', { attempt: 2 })],
  ],
  'two-keys-at-once': [
    [rotation('BARRIER'), rotation('SWEEPING', { jobId: 'job-2', keyId: 'another' })],
    [rotation('BARRIER'), rotation('SWEEPING', { jobId: 'job-2', keyId: 'another', tenant: 'birch' })],
  ],
  'wrapped-anew': [
    [
      key({
        formerWrapped: { rootKeyId: 'old', materialId: null, wrapped: Buffer.alloc(1) },
      } as unknown as Version),
      key({ formerWrapped: null }),
    ],
    [key({ formerWrapped: null }), key({ formerWrapped: null })],
  ],
  'old-version-written': [
    [key({}), record('application', 1)],
    [key({}), record('application', 2)],
  ],
  'stale-writer-refused': [[refused('write', 'STORE_FENCED')], [refused('write', 'CONFLICT')]],
  'worker-gives-way': [[refused('write', 'CONFLICT')], [refused('write', 'STORE_FENCED')]],
  'zombie-refused': [
    [zombie('process-chunk#1'), refused('write', 'CONFLICT')],
    [zombie('process-chunk#2'), refused('write', 'CONFLICT')],
  ],
  'late-chunk': [
    [rotation('COMPLETED'), record('pipeline')],
    [rotation('BARRIER'), record('pipeline')],
  ],
  'restore-in-grace': [
    [key({ purgeNotBefore: LATER }), restore('BEGUN')],
    [key({ purgeNotBefore: AT }), restore('BEGUN')],
  ],
  'restore-in-rehearsal': [
    [purge('CENSUS'), key(FENCED), restore('BEGUN')],
    [purge('CENSUS'), key(DECIDED), restore('BEGUN')],
  ],
  'restore-while-awaited': [
    [...awaited(LATER), restore('BEGUN')],
    [...awaited(LATER), purge('REQUESTED'), restore('BEGUN')],
  ],
  'restore-after-decision': [
    [key(DECIDED), restore('BEGUN')],
    [key(FENCED), restore('BEGUN')],
  ],
  'restore-in-sweep': [
    [rotation('BARRIER'), restore('BEGUN')],
    [rotation('COMPLETED'), restore('BEGUN')],
  ],
  'restore-refused': [[refused('restore', 'RESTORE_REFUSED')], [refused('write', 'RESTORE_REFUSED')]],
  'restore-called-off': [
    [restore('BEGUN'), restore('ABORTING')],
    [restore('READY'), restore('ENDED')],
  ],
  'old-rows-back': [
    [key({}), record('restore', 1)],
    [key({}), record('restore', 2)],
  ],
  'restore-swept-and-freed': [
    [restore('ENDED'), key({}, hold({ holdId: 'r', reason: 'RESTORE' })), key({})],
    [restore('ABORTED'), key({}, hold({ holdId: 'r', reason: 'RESTORE' })), key({})],
  ],
  'decided-then-used': [
    [key(DECIDED), key({}, USED)],
    [key(FENCED), key({}, USED)],
  ],
  'decided-then-restored': [
    [key(DECIDED), key({})],
    [key(FENCED), key({})],
  ],
  'decided-then-interrupted': [
    [purge('CENSUS'), key(DECIDED), purge('CENSUS', { attempt: 2 }), key({ ...DECIDED, state: 'DESTROYED' })],
    [purge('CENSUS'), key(DECIDED), key({ ...DECIDED, state: 'DESTROYED' })],
  ],
  'used-while-fenced': [
    [key(FENCED, USED), key({}, USED)],
    [key(FENCED), key({})],
  ],
  'used-while-awaited': [
    [...awaited(LATER), key(FENCED), key(FENCED, USED)],
    [purge('CENSUS'), key(FENCED), key(FENCED, USED)],
  ],
  'held-while-fenced': [
    [key(FENCED), key({}, hold({}))],
    [key({}), key({}, hold({}))],
  ],
  'rollback-of-a-fenced-version': [
    [
      purge('CENSUS'),
      purge('CANCELLED'),
      rotation('REQUESTED', { jobId: 'back', goal: 'ROLLBACK', from: 2, to: 1 }),
    ],
    [
      purge('REQUESTED'),
      purge('CANCELLED'),
      rotation('REQUESTED', { jobId: 'back', goal: 'ROLLBACK', from: 2, to: 1 }),
    ],
  ],
  'rotation-while-fenced': [
    [key(FENCED), rotation('REQUESTED')],
    [key(FENCED), rotation('REQUESTED', { goal: 'RESWEEP' })],
  ],
  'two-fenced': [[key(FENCED, {}, FENCED)], [key(FENCED)]],
  'purge-paused-and-done': [
    [purge('CENSUS'), purge('PAUSED', paused('PERSON')), purge('COMPLETED')],
    [purge('REQUESTED'), purge('PAUSED', paused('PERSON')), purge('COMPLETED')],
  ],
  'purge-rested-and-done': [
    [purge('CENSUS'), purge('PAUSED', paused('ROOT_KEY')), purge('COMPLETED')],
    [purge('CENSUS'), purge('PAUSED', paused('PERSON')), purge('COMPLETED')],
  ],
  'purge-found-quarantine': [
    [purge('CENSUS'), purge('BLOCKED', blocked('QUARANTINED_RECORDS'))],
    [purge('CENSUS'), purge('BLOCKED', blocked('HELD'))],
  ],
  'grace-renewed': [
    [key({ seen: { at: AT, cleanAt: null } }), key({ seen: { at: AT, cleanAt: AT } })],
    [key({ seen: null }), key({ seen: { at: AT, cleanAt: null } })],
  ],
  'blocked-then-certified': [
    [
      purge('CENSUS'),
      purge('BLOCKED', blocked('HELD')),
      item('certificates', 'c', { keyId: KEY_ID, version: 1 }),
    ],
    [
      purge('CENSUS'),
      purge('BLOCKED', blocked('HELD')),
      item('certificates', 'c', { keyId: KEY_ID, version: 2 }),
    ],
  ],
  'approval-expired': [
    [...awaited(AT), approval, { kind: 'quiet' }],
    [...awaited(LATER), approval, { kind: 'quiet' }],
  ],
  'request-expired': [
    [...awaited(AT), { kind: 'quiet' }],
    [...awaited(LATER), { kind: 'quiet' }],
  ],
  'void-by-census': [[voided('another census found something else')], [voided('it expired')]],
  'void-by-restore': [[voided('a store was restored since')], [voided('it expired')]],
  'void-by-fence': [[voided('the version was fenced anew since, and …')], [voided('it expired')]],
  'void-unused': [[voided('it was not carried out: …')], [voided('it expired')]],
  'release-approved': [
    [asked(1), key({}, hold({})), key({})],
    [asked(0), key({}, hold({})), key({})],
  ],
  'give-up-approved': [
    [asked(1), record('give-up')],
    [asked(0), record('give-up')],
  ],
  'quarantine-retried': [
    [quarantined('1'), record('pipeline')],
    [quarantined('2'), record('pipeline')],
  ],
  'quarantine-settled': [[quarantined('1'), item('quarantined', '1', null)], [quarantined('1')]],
};

function historyOf(events: Events): HistoryEntry[] {
  return events.map((event, seq) => ({ ...event, seq, at: START + seq }));
}

describe('situations', () => {
  it('have a name of their own, and a line for people', () => {
    expect(new Set(SITUATIONS.map(({ name }) => name)).size).toBe(SITUATIONS.length);
    for (const { name, means } of SITUATIONS) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(means.length, name).toBeLessThan(100);
      expect(means, name).not.toMatch(/\.$/);
    }
  });

  it('are all tried here', () => {
    expect(Object.keys(CASES).sort()).toEqual(SITUATIONS.map(({ name }) => name).sort());
  });

  it.each(Object.entries(CASES))('%s', (name, [brings, not]) => {
    expect(situationsIn(historyOf(brings))).toContain(name);
    expect(situationsIn(historyOf(not))).not.toContain(name);
    // And only with its last entry.
    expect(situationsIn(historyOf(brings.slice(0, -1)))).not.toContain(name);
  });

  it('count once in a history', () => {
    const twice = [rotation('CENSUS'), rotation('SWEEPING'), rotation('CENSUS'), rotation('SWEEPING')];
    expect(situationsIn(historyOf(twice))).toEqual(['swept-again']);
  });
});
