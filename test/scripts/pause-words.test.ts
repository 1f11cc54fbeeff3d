import { describe, expect, it } from 'vitest';
import { exitCodeOfJobs } from '../../scripts/cli/follow.ts';
import { jobJson, stepOf } from '../../scripts/cli/job-words.ts';
import { keyJson, suspensionWords } from '../../scripts/cli/key-words.ts';
import { isOver } from '../../scripts/cli/watch-jobs.ts';
import { JOB_STATUSES } from '../../shared/rotation/rotation.ts';
import { testJob, testKey } from '../contracts/ledger.ts';

const AT = '2026-01-01T00:00:00.000Z';
const ROOT_KEY = { reason: 'ROOT_KEY', rootKeyId: 'arn:aws:kms:x:1:key/2', by: null, at: AT } as const;
const PERSON = { reason: 'PERSON', rootKeyId: null, by: 'person:ann', at: AT } as const;

describe('a paused job', () => {
  it.each([
    [ROOT_KEY, `paused: root key ${ROOT_KEY.rootKeyId} cannot be used; it goes on by itself when it can`],
    [PERSON, 'paused by person:ann at 2026-01-01 00:00:00 UTC; `keyturn resume --tenant acme` takes it up'],
  ])('says why it rests: %j', (pause, words) => {
    const job = testJob({ status: 'PAUSED', pause });
    expect(stepOf(job)).toBe(words);
    expect(jobJson(job, null)).toMatchObject({ status: 'PAUSED', pause });
  });

  it('in its rehearsal says from when on it counts, which stays true afterwards', () => {
    const job = testJob({ kind: 'purge', status: 'CENSUS', barrierUntil: AT });
    expect(stepOf(job)).toBe('rehearsal; from 2026-01-01 00:00:00 UTC on the census reads every envelope');
  });

  it('is not waited for, and is no success', () => {
    const over = JOB_STATUSES.filter((status) => isOver(testJob({ status })));
    expect(over).toEqual(['COMPLETED', 'BLOCKED', 'PAUSED', 'CANCELLED']);
    expect(over.map((status) => exitCodeOfJobs([testJob({ status })]))).toEqual([0, 4, 4, 4]);
  });
});

describe('a suspended version', () => {
  it('says why, and shows no wrapping', () => {
    const key = testKey();
    const [version] = Object.values(key.versions);
    if (version === undefined) throw new Error('no version');
    expect(suspensionWords(version)).toBeNull();
    const suspended = { ...version, formerWrapped: version.wrapped, suspended: ROOT_KEY };
    expect(suspensionWords(suspended)).toContain(`root key ${ROOT_KEY.rootKeyId} cannot be used`);
    expect(suspensionWords({ ...version, suspended: PERSON })).toContain('by a person');
    const shown = JSON.stringify(keyJson({ ...key, versions: { '1': suspended } }));
    expect(shown).toContain('ROOT_KEY');
    expect(shown).not.toMatch(/wrapped/i);
  });
});
