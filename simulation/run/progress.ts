import cliProgress from 'cli-progress';
import { count, counted, duration } from '../../scripts/cli/format.ts';
import type { Tally } from './tally.ts';

/** How far a run is: a line that redraws itself on a terminal, a line now and then elsewhere. */
export interface Progress {
  show(state: ProgressState): void;
  /** Something that stays, above the line. */
  say(text: string, print: (line: string) => void): void;
  stop(): void;
}

export interface ProgressState {
  readonly tally: Pick<Tally, 'seeds' | 'faults'>;
  readonly violations: number;
  readonly seconds: number;
}

/** Where it ends; Infinity: not by that. */
export interface Goal {
  readonly seeds: number;
  readonly seconds: number;
}

const LINE_EVERY_SECONDS = 15;

/** `stream` null: nobody looks. */
export function createProgress(stream: NodeJS.WriteStream | null, goal: Goal): Progress {
  if (stream === null) return { show() {}, say: (text, print) => print(text), stop() {} };
  return stream.isTTY ? createLine(stream, goal) : createLines(stream, goal);
}

function createLines(stream: NodeJS.WriteStream, goal: Goal): Progress {
  let shown = 0;
  return {
    show(state) {
      if (state.seconds - shown < LINE_EVERY_SECONDS) return;
      shown = state.seconds;
      stream.write(`${progressText(state, goal)}\n`);
    },
    say: (text, print) => print(text),
    stop() {},
  };
}

function createLine(stream: NodeJS.WriteStream, goal: Goal): Progress {
  const options = { stream, format: '{text}', clearOnComplete: true, hideCursor: true, gracefulExit: false };
  const start = () => {
    const bar = new cliProgress.SingleBar(options);
    bar.start(1, 0, { text: '' });
    return bar;
  };
  let bar = start();
  return {
    show: (state) => bar.update(0, { text: progressText(state, goal) }),
    say(text, print) {
      bar.stop();
      print(text);
      bar = start();
    },
    stop: () => bar.stop(),
  };
}

/** `1,234 of 20,000 seeds, 66 a second, 4 min 44 s left, 12,345 faults, 0 violations` */
export function progressText({ tally, violations, seconds }: ProgressState, goal: Goal): string {
  const { seeds, faults } = tally;
  const of = Number.isFinite(goal.seeds)
    ? `${count(seeds)} of ${counted(goal.seeds, 'seed')}`
    : counted(seeds, 'seed');
  const rate = seconds > 0 ? seeds / seconds : 0;
  const left = Math.min(
    rate > 0 ? (goal.seeds - seeds) / rate : Number.POSITIVE_INFINITY,
    goal.seconds - seconds,
  );
  return [
    of,
    `${rate < 10 ? rate.toFixed(1) : count(Math.round(rate))} a second`,
    ...(Number.isFinite(left) ? [`${duration(left)} left`] : []),
    counted(faults, 'fault'),
    counted(violations, 'violation'),
  ].join(', ');
}
