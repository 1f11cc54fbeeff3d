import { counted } from '../cli/format.ts';

/** How often each fault hit. Of those that fall on a moment, only what fell on a running rotation counts, or purge. */

export const FAULTS = {
  kill: 'SIGKILL of the stack, PostgreSQL ends in order',
  killHard: 'SIGKILL of the stack and crash of PostgreSQL',
  killInPurge: 'SIGKILL of the stack, while a purge ran',
  postgresStopped: 'PostgreSQL stopped and started',
  postgresCrashed: 'PostgreSQL crashed and started',
  httpCut: 'connections to the stack cut',
  postgresCut: 'connections to PostgreSQL cut',
  frozen: 'the stack frozen',
  held: 'workers held up between read and write',
  doubled: 'messages doubled',
  delayed: 'messages delayed',
  reordered: 'messages out of order',
} as const;
export type FaultName = keyof typeof FAULTS;

export interface Figures {
  add(fault: FaultName, count: number): void;
  get(fault: FaultName): number;
  /** By fault, since the last call. */
  round(): Readonly<Record<FaultName, number>>;
  total(): Readonly<Record<FaultName, number>>;
  /** Faults that never hit. */
  missing(): readonly FaultName[];
}

export function createFigures(): Figures {
  const names = Object.keys(FAULTS).filter(isFaultName);
  const counts = new Map<FaultName, number>();
  let before = new Map<FaultName, number>();
  const get = (fault: FaultName) => counts.get(fault) ?? 0;
  const table = (of: (fault: FaultName) => number) =>
    Object.fromEntries(names.map((fault) => [fault, of(fault)])) as Record<FaultName, number>;
  return {
    get,
    add: (fault, count) => void counts.set(fault, get(fault) + count),
    round() {
      const since = table((fault) => get(fault) - (before.get(fault) ?? 0));
      before = new Map(counts);
      return since;
    },
    total: () => table(get),
    missing: () => names.filter((fault) => get(fault) === 0),
  };
}

function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}

/** `2 kills, 1 stop of PostgreSQL, 5 cuts, 12 messages doubled, 7 delayed`. */
export function faultWords(of: Readonly<Record<FaultName, number>>): string {
  const cuts = of.httpCut + of.postgresCut;
  return [
    counted(of.kill + of.killHard, 'kill'),
    counted(of.postgresStopped + of.postgresCrashed, 'stop of PostgreSQL', 'stops of PostgreSQL'),
    counted(cuts, 'cut connection'),
    counted(of.frozen, 'freeze'),
    `${counted(of.doubled, 'message')} doubled, ${of.delayed} delayed, ${of.reordered} out of order`,
  ].join(', ');
}
