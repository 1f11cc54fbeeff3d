import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createProgressView,
  createRateMeter,
  describe as describeJobs,
  fitLine,
  totalsOf,
} from '../../scripts/cli/progress-view.ts';
import type { Snapshot } from '../../scripts/cli/watch-jobs.ts';
import { testJob } from '../contracts/ledger.ts';
import { capture } from './capture.ts';

const drawBar = (fraction: number, width: number) => {
  const full = Math.round(width * fraction);
  return '█'.repeat(full) + '░'.repeat(width - full);
};

const parts = {
  step: 'rewrapping records',
  records: '1,200 of 20,000 records',
  rate: '12,345/s',
  left: '1 min 7 s left',
  fraction: 0.06,
};

function sweeping(done: number, planned: number, listed = true): Snapshot {
  const progress = { planned, rewrapped: done, skipped: 0, quarantined: 0, remaining: planned - done };
  return {
    job: testJob({ status: 'SWEEPING', round: 1 }),
    progress: { ...progress, round: 1, listed },
    calledOff: null,
  };
}

describe('the line of progress', () => {
  it('has everything where there is room', () => {
    expect(fitLine(parts, 120, drawBar)).toBe(
      `${drawBar(0.06, 24)}  6%  1,200 of 20,000 records  12,345/s  1 min 7 s left  rewrapping records`,
    );
  });

  it.each([
    [79, `${drawBar(0.06, 24)}  6%  1,200 of 20,000 records  12,345/s  1 min 7 s left`],
    [60, '6%  1,200 of 20,000 records  12,345/s  1 min 7 s left'],
    [45, '6%  1,200 of 20,000 records  1 min 7 s left'],
    [30, '6%  1,200 of 20,000 records'],
    [20, '1,200 of 20,000 reco'],
    [1, '1'],
    [0, ''],
  ])('in %d columns is: %s', (width, line) => {
    expect(fitLine(parts, width, drawBar)).toBe(line);
  });

  it('fits into any width, whatever it has to say', () => {
    const text = fc.option(fc.string({ maxLength: 40 }));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200 }),
        fc.record({
          step: fc.string({ maxLength: 300 }),
          records: text,
          rate: text,
          left: text,
          fraction: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        (width, any) => {
          expect(fitLine(any, width, drawBar).length).toBeLessThanOrEqual(width);
        },
      ),
    );
  });

  it('says what is done, how fast, and what is left', () => {
    expect(describeJobs([], 0).step).toBe('waiting for the stack');
    expect(describeJobs([sweeping(500, 2000)], 100)).toEqual({
      step: 'rewrapping records',
      records: '500 of 2,000 records',
      rate: '100/s',
      left: '15 s left',
    });
    // While the listing goes on nobody knows what is left.
    expect(describeJobs([sweeping(500, 2000, false)], 100)).toMatchObject({
      records: '500 of 2,000+ records',
      left: null,
    });
    expect(describeJobs([sweeping(0, 2000)], 0)).toMatchObject({ rate: null, left: null });
    const waiting: Snapshot = { job: testJob({ status: 'PREPARING' }), progress: null, calledOff: null };
    expect(describeJobs([waiting], 0)).toMatchObject({ records: null, rate: null, left: null });
    expect(describeJobs([sweeping(1, 2), waiting], 0).step).toBe('0 of 2 done');
  });

  it('adds up jobs', () => {
    expect(totalsOf([sweeping(1, 2), sweeping(3, 4)])).toEqual({ done: 4, planned: 6, listed: true });
    expect(totalsOf([sweeping(1, 2), { job: testJob(), progress: null, calledOff: null }]).listed).toBe(
      false,
    );
  });
});

describe('the rate', () => {
  it('is that of the last seconds, and begins afresh with a new round', () => {
    let now = 0;
    const rate = createRateMeter(() => now);
    expect(rate.perSecond()).toBe(0);
    rate.sample(0);
    expect(rate.perSecond()).toBe(0);
    now = 1000;
    rate.sample(100);
    expect(rate.perSecond()).toBe(100);
    for (let second = 2; second <= 30; second++) {
      now = second * 1000;
      rate.sample(100 + (second - 1) * 10);
    }
    expect(rate.perSecond()).toBeCloseTo(10, 5);
    now = 31_000;
    rate.sample(5);
    expect(rate.perSecond()).toBe(0);
  });
});

describe('progress where there is no terminal', () => {
  it('is a line for each step and one every few seconds, without escape codes', () => {
    let now = 0;
    const { out, text } = capture();
    const view = createProgressView(out, () => now);
    view.show([{ job: testJob({ status: 'PREPARING' }), progress: null, calledOff: null }]);
    view.show([{ job: testJob({ status: 'PREPARING' }), progress: null, calledOff: null }]);
    now = 1_000;
    view.show([sweeping(1, 20)]);
    now = 2_000;
    view.show([sweeping(2, 20)]);
    now = 6_000;
    view.show([sweeping(3, 20)]);
    view.show([{ job: testJob({ status: 'COMPLETED' }), progress: null, calledOff: null }]);
    view.stop();
    const { stdout, stderr } = text();
    expect(stdout).toBe('');
    expect(stderr.trimEnd().split('\n')).toEqual([
      expect.stringContaining('making, proving and activating'),
      expect.stringContaining('rewrapping records: 1 of 20 records'),
      expect.stringContaining('rewrapping records: 3 of 20 records'),
    ]);
    expect(stderr).not.toMatch(/[^\P{Cc}\n]/u);
  });
});
