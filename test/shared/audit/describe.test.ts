import { describe, expect, it } from 'vitest';
import { describeJobChange, describeKeyChange } from '../../../shared/audit/describe.ts';
import { changeKeyItem, changeVersion } from '../../../shared/keyring/change-version.ts';
import type { Hold, TenantKey } from '../../../shared/keyring/key.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';

const AT = '2026-01-02T00:00:00.000Z';
const SECRET = 'U0VDUkVU';
const wrapped = (text: string) => ({ rootKeyId: 'local:1', materialId: null, wrapped: Buffer.from(text) });
const key = testKey();
const hold: Hold = {
  holdId: 'h',
  versions: [1],
  reason: 'PERSON',
  store: null,
  note: 'Ann said so',
  by: 'u-1',
  at: AT,
  until: null,
  endedEpoch: null,
};

const CHANGES: Readonly<Record<string, [TenantKey, TenantKey]>> = {
  'key.version.proved': [key, changeVersion(key, 1, { provedAt: AT, check: SECRET })],
  'key.version.activated': [key, changeVersion(key, 1, { state: 'ACTIVE', activatedAt: AT }, { active: 1 })],
  'key.version.rewrapped': [key, changeVersion(key, 1, { wrapped: wrapped(SECRET) })],
  'key.version.suspended': [
    changeVersion(key, 1, { state: 'ACTIVE' }),
    changeVersion(changeVersion(key, 1, { state: 'ACTIVE' }), 1, { state: 'SUSPENDED' }),
  ],
  'key.version.purge-called-off': [
    changeVersion(key, 1, { state: 'DESTROY_PENDING' }),
    changeVersion(key, 1, { state: 'RETIRING' }),
  ],
  'key.version.destroy-authorized': [
    key,
    changeVersion(key, 1, { destroyAuthorizedAt: AT, approvedBy: 'r' }),
  ],
  'key.version.destroyed': [key, changeVersion(key, 1, { state: 'DESTROYED', wrapped: null })],
  'key.version.retired': [key, changeVersion(key, 1, { retiredBy: 'job-1', purgeNotBefore: AT })],
  'key.restore-registered': [key, changeKeyItem(key, { restoreEpoch: 1 })],
  'key.hold.placed': [key, changeKeyItem(key, { holds: [hold] })],
  'key.hold.released': [changeKeyItem(key, { holds: [hold] }), key],
  'key.hold.changed': [
    changeKeyItem(key, { holds: [hold] }),
    changeKeyItem(key, { holds: [{ ...hold, until: AT }] }),
  ],
  'key.locked': [key, changeKeyItem(key, { rotationId: 'job-1' })],
  'key.unlocked': [changeKeyItem(key, { rotationId: 'job-1' }), key],
  'key.serves': [key, changeKeyItem(key, { serves: [{ store: 's', table: 't', columns: ['c'] }] })],
  'key.changed': [key, changeKeyItem(key, {})],
};

describe('a change of a key', () => {
  it.each(Object.entries(CHANGES))('is called %s', (type, [before, after]) => {
    const described = describeKeyChange(before, after);
    expect(described.type).toBe(type);
    // Wrapped KEKs, key checks and what people wrote are nobody's who reads the chain.
    const text = JSON.stringify(described);
    for (const untold of [SECRET, Buffer.from(SECRET).toString('base64url'), 'Ann', 'AAH_']) {
      expect(text).not.toContain(untold);
    }
  });

  it('tells all that one write changed, and is called after the weightiest', () => {
    const after = changeVersion(
      key,
      1,
      { state: 'ACTIVE' },
      { active: 1, rotationId: null, restoreEpoch: 2 },
    );
    expect(describeKeyChange(changeKeyItem(key, { rotationId: 'job-1' }), after)).toMatchObject({
      type: 'key.version.activated',
      detail: {
        active: 1,
        changes: ['version 1 PRE_ACTIVE -> ACTIVE', 'restore epoch 0 -> 2', 'lock of job-1 released'],
      },
    });
    expect(describeKeyChange(null, key)).toMatchObject({
      type: 'key.created',
      detail: { keyId: key.keyId, revision: 1, changes: ['version 1 PRE_ACTIVE'] },
    });
  });
});

describe('a change of a job', () => {
  const job = testJob();
  it.each([
    ['job.requested', null, job],
    ['job.preparing', job, { ...job, status: 'PREPARING' }],
    ['job.resumed', { ...job, status: 'BLOCKED' }, { ...job, attempt: 2 }],
    ['job.resumed', job, { ...job, attempt: 2 }],
    ['job.rate-changed', job, { ...job, recordsPerSecond: 5 }],
    ['job.round-begun', job, { ...job, round: 1 }],
    ['job.approval-asked', job, { ...job, approvalId: 'r' }],
    ['job.changed', job, { ...job, revision: 2 }],
  ] as const)('is called %s', (type, before, after) => {
    expect(describeJobChange(before, after).type).toBe(type);
  });

  it('names its blocker by the code alone', () => {
    const blocker = { code: 'HELD', message: 'record 4711 of Ann', at: AT } as const;
    const { type, detail } = describeJobChange(job, { ...job, status: 'BLOCKED', blocker });
    expect([type, detail['blocker']]).toEqual(['job.blocked', 'HELD']);
    expect(JSON.stringify(detail)).not.toContain('Ann');
  });
});
