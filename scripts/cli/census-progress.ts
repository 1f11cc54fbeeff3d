import cliProgress from 'cli-progress';
import { systemClock } from '../../shared/clock/system.ts';
import type { CountProgress } from './count-key.ts';
import { count, duration } from './format.ts';
import type { Output } from './output.ts';
import { createRateMeter, fitLine } from './progress-view.ts';

/** How far a census is: a bar with rate and time left on a terminal, a line now and then elsewhere. */
export interface CensusProgress {
  show(progress: CountProgress): void;
  stop(): void;
}

const LINE_EVERY_MS = 5_000;
const BAR_WIDTH = 24;

export function createCensusProgress(
  out: Output,
  what: string,
  now: () => number = systemClock.now,
): CensusProgress {
  const rate = createRateMeter(now);
  const began = now();
  const parts = ({ done, parts: all, rows }: CountProgress) => ({
    step: what,
    records: `${count(rows)} rows, ${count(done)} of ${count(all)} parts`,
    rate: rate.perSecond() > 0 ? `${count(Math.round(rate.perSecond()))}/s` : null,
    // The parts are about as large as each other.
    left:
      done > 0 && done < all ? `${duration((((now() - began) / 1000) * (all - done)) / done)} left` : null,
    fraction: all === 0 ? 1 : done / all,
  });
  if (!out.animated) {
    let printedAt = began;
    return {
      show(progress) {
        rate.sample(progress.rows);
        if (now() - printedAt < LINE_EVERY_MS) return;
        printedAt = now();
        const { step, records, rate: perSecond, left } = parts(progress);
        out.progress([`${step}: ${records}`, perSecond, left].filter((part) => part !== null).join(', '));
      },
      stop() {},
    };
  }
  let shown: CountProgress = { done: 0, parts: 1, rows: 0 };
  const bar = new cliProgress.SingleBar({
    format: (options) =>
      fitLine(parts(shown), out.columns() - 1, (fraction, width) => {
        const chars = Math.round(width * fraction);
        return (
          (options.barCompleteString ?? '').slice(0, chars) +
          (options.barIncompleteString ?? '').slice(0, width - chars)
        );
      }),
    ...{ barCompleteChar: '█', barIncompleteChar: '░', barsize: BAR_WIDTH, hideCursor: true },
    ...{ clearOnComplete: true, emptyOnZero: true, gracefulExit: false, fps: 8, forceRedraw: true },
  });
  bar.start(1, 0);
  return {
    show(progress) {
      shown = progress;
      rate.sample(progress.rows);
      bar.setTotal(Math.max(progress.parts, 1));
      bar.update(progress.done);
    },
    stop: () => bar.stop(),
  };
}
