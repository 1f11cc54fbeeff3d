import cliProgress from 'cli-progress';
import { count, duration } from './format.ts';
import { recordsDone, recordsOf, snapshotLine, stepOf } from './job-words.ts';
import { type Output, printable } from './output.ts';
import { isOver, type Snapshot } from './watch-jobs.ts';

/** Progress of one or more jobs: one bar that redraws itself on a terminal, a line now and then elsewhere. */
export interface ProgressView {
  show(snapshots: readonly Snapshot[]): void;
  stop(): void;
}

const LINE_EVERY_MS = 5_000;

export function createProgressView(out: Output, now: () => number = Date.now): ProgressView {
  return out.animated ? createBar(out, now) : createLines(out, now);
}

function createLines(out: Output, now: () => number): ProgressView {
  let printedAt = Number.NEGATIVE_INFINITY;
  const steps = new Map<string, string>();
  return {
    show(snapshots) {
      const due = now() - printedAt >= LINE_EVERY_MS;
      for (const snapshot of snapshots) {
        const { job, calledOff } = snapshot;
        const step = stepOf(job, calledOff);
        const changed = steps.get(job.jobId) !== step;
        // The end is the report's to tell.
        if ((!changed && !due) || isOver(job)) continue;
        steps.set(job.jobId, step);
        printedAt = now();
        out.progress(snapshotLine(snapshot));
      }
    },
    stop() {},
  };
}

interface Totals {
  readonly done: number;
  readonly planned: number;
  readonly listed: boolean;
}

export function totalsOf(snapshots: readonly Snapshot[]): Totals {
  const found = snapshots.flatMap(({ progress }) => progress ?? []);
  return {
    done: found.reduce((sum, progress) => sum + recordsDone(progress), 0),
    planned: found.reduce((sum, progress) => sum + progress.planned, 0),
    listed: found.length === snapshots.length && found.every(({ listed }) => listed),
  };
}

function createBar(out: Output, now: () => number): ProgressView {
  const rate = createRateMeter(now);
  let shown: readonly Snapshot[] = [];
  const bar = new cliProgress.SingleBar({
    format: (options, params) => {
      const parts = { ...describe(shown, rate.perSecond()), fraction: params.progress };
      return fitLine(parts, out.columns() - 1, (fraction, width) => {
        const chars = Math.round(width * fraction);
        return (
          (options.barCompleteString ?? '').slice(0, chars) +
          (options.barIncompleteString ?? '').slice(0, width - chars)
        );
      });
    },
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: BAR_WIDTH,
    hideCursor: true,
    clearOnComplete: true,
    emptyOnZero: true,
    gracefulExit: false,
    fps: 8,
    forceRedraw: true,
  });
  bar.start(1, 0);
  return {
    show(snapshots) {
      shown = snapshots;
      const { done, planned } = totalsOf(snapshots);
      rate.sample(done);
      bar.setTotal(Math.max(planned, 1));
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}

const BAR_WIDTH = 24;

export interface LineParts {
  readonly step: string;
  readonly records: string | null;
  readonly rate: string | null;
  readonly left: string | null;
  readonly fraction: number;
}

export function describe(snapshots: readonly Snapshot[], perSecond: number): Omit<LineParts, 'fraction'> {
  const [first] = snapshots;
  if (first === undefined) return { step: 'waiting for the stack', records: null, rate: null, left: null };
  const { done, planned, listed } = totalsOf(snapshots);
  const over = snapshots.filter(({ job }) => isOver(job)).length;
  const sweeping = snapshots.some(({ job }) => job.status === 'SWEEPING');
  const step =
    snapshots.length === 1 ? stepOf(first.job, first.calledOff) : `${over} of ${snapshots.length} done`;
  if (!sweeping)
    return { step, records: planned > 0 ? `${count(done)} records` : null, rate: null, left: null };
  const moving = perSecond > 0;
  return {
    step,
    records: recordsOf({ planned, listed, rewrapped: done, skipped: 0, quarantined: 0, remaining: 0 }),
    rate: moving ? `${count(Math.round(perSecond))}/s` : null,
    left: moving && listed ? `${duration((planned - done) / perSecond)} left` : null,
  };
}

/** As much as fits into the width: the bar goes first, then rate and time, last the words are cut. */
export function fitLine(
  parts: LineParts,
  width: number,
  drawBar: (fraction: number, width: number) => string,
): string {
  const { records, rate, left } = parts;
  const step = printable(parts.step);
  const percent = records === null ? null : `${Math.floor(parts.fraction * 100)}%`;
  const bar = records === null ? null : drawBar(parts.fraction, BAR_WIDTH);
  const candidates = [
    [bar, percent, records, rate, left, step],
    [bar, percent, records, rate, left],
    [percent, records, rate, left],
    [percent, records, left],
    [percent, records],
  ];
  if (records === null) candidates.unshift([step]);
  for (const candidate of candidates) {
    const line = candidate.filter((part) => part !== null).join('  ');
    if (line.length > 0 && line.length <= width) return line;
  }
  return (records ?? step).slice(0, Math.max(0, width));
}

const WINDOW_MS = 10_000;

/** Records a second over the last seconds; a new round, which counts from 0 again, starts it afresh. */
export function createRateMeter(now: () => number): { sample(done: number): void; perSecond(): number } {
  let samples: { readonly at: number; readonly done: number }[] = [];
  return {
    sample(done) {
      const at = now();
      if (done < (samples.at(-1)?.done ?? 0)) samples = [];
      samples.push({ at, done });
      while (samples.length > 2 && at - (samples[0]?.at ?? at) > WINDOW_MS) samples.shift();
    },
    perSecond() {
      const [first] = samples;
      const last = samples.at(-1);
      if (first === undefined || last === undefined || last.at === first.at) return 0;
      return ((last.done - first.done) * 1000) / (last.at - first.at);
    },
  };
}
