import { createDice, type Dice } from '../../simulation/dice.ts';

/**
 * What happens in a round of chaos: drawn from the seed, so that the same seed asks for the same things in the same order.
 * Where in the stack's work they fall is up to the machine.
 */

export type Fault =
  /** SIGKILL to the stack's process, which takes its PostgreSQL along: by an orderly end, or `hard`, by none. */
  | {
      readonly what: 'kill';
      readonly hard: boolean;
      /** Not at once, but right before or after the stack's so manieth call that changes something. */
      readonly moments: number | null;
    }
  /** PostgreSQL alone goes, `fast` as at a restart or by a `crash`, and comes back. */
  | { readonly what: 'postgres'; readonly how: 'fast' | 'crash'; readonly forMs: number }
  /** Connections are cut where they stand: to the stack's HTTP servers, or to PostgreSQL. */
  | { readonly what: 'cut'; readonly where: 'http' | 'postgres' }
  /** The stack's process stands still (SIGSTOP) and goes on as if nothing had been. */
  | { readonly what: 'freeze'; readonly forMs: number };

export type Request =
  | {
      readonly what: 'rotate';
      readonly tenant: number;
      readonly mode: 'rewrap' | 're-encrypt';
      readonly recordsPerSecond: number | null;
    }
  /** While one runs: the answer must be the one that runs. */
  | { readonly what: 'ask again'; readonly tenant: number }
  | { readonly what: 'pause'; readonly tenant: number; readonly forMs: number }
  /** To the newest version that is retired. */
  | { readonly what: 'roll back'; readonly tenant: number };

/** What happens to messages of the work queue. Probabilities, of each message. */
export interface QueueFaults {
  readonly doubled: number;
  readonly delayed: number;
  /** Longest delay of a message, and of a copy. */
  readonly longestSeconds: number;
}

export interface RoundPlan {
  readonly round: number;
  /** Each so long after the round's start. */
  readonly requests: readonly { readonly atMs: number; readonly request: Request }[];
  /** One after the other, each so long after the one before. */
  readonly faults: readonly { readonly afterMs: number; readonly fault: Fault }[];
  readonly queue: QueueFaults;
}

const FIRST_REQUEST_MS = 700;
const LONGEST_GAP_MS = 700;
/** Three rotations of a hundred records each come to some hundreds. */
const MOST_MOMENTS = 60;

export function planRound(seed: number, round: number, tenants: number): RoundPlan {
  const dice = createDice(seed, `round ${round}`);
  return {
    round,
    requests: Array.from({ length: tenants }, (_, tenant) => planTenant(dice, tenant)).flat(),
    faults: shuffle(dice, planFaults(dice, round)).map((fault) => ({
      afterMs: dice.between(50, LONGEST_GAP_MS),
      fault,
    })),
    queue: {
      doubled: dice.between(20, 60) / 100,
      delayed: dice.between(10, 40) / 100,
      longestSeconds: dice.between(1, 3),
    },
  };
}

function planTenant(dice: Dice, tenant: number): { atMs: number; request: Request }[] {
  const atMs = dice.below(FIRST_REQUEST_MS);
  const rotate: Request = {
    what: 'rotate',
    tenant,
    mode: dice.chance(0.3) ? 're-encrypt' : 'rewrap',
    recordsPerSecond: dice.pick([null, null, 100, 50]),
  };
  const later = atMs + dice.between(200, 3000);
  const more: Request | null = dice.pick<Request | null>([
    null,
    { what: 'ask again', tenant },
    { what: 'pause', tenant, forMs: dice.between(200, 2000) },
    { what: 'roll back', tenant },
  ]);
  return [{ atMs, request: rotate }, ...(more === null ? [] : [{ atMs: later, request: more }])];
}

/** Which of the kinds come is not left to the dice: within three rounds each does. */
function planFaults(dice: Dice, round: number): Fault[] {
  const others: Fault[] = [
    { what: 'cut', where: 'http' },
    { what: 'cut', where: 'postgres' },
    { what: 'freeze', forMs: dice.between(200, 1500) },
  ];
  const even = round % 2 === 0;
  return [
    { what: 'kill', hard: even, moments: dice.between(1, MOST_MOMENTS) },
    ...(dice.chance(0.6) ? [{ what: 'kill', hard: dice.chance(0.5), moments: null } as const] : []),
    { what: 'postgres', how: even ? 'fast' : 'crash', forMs: dice.between(50, 700) },
    ...others.filter((_, i) => i !== round % others.length),
  ];
}

/** Fisher and Yates'. */
export function shuffle<T>(dice: Dice, items: readonly T[]): T[] {
  const left = [...items];
  const drawn: T[] = [];
  while (left.length > 0) drawn.push(...left.splice(dice.below(left.length), 1));
  return drawn;
}
