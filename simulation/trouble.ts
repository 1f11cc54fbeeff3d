import type { KeyturnError } from '../shared/errors/errors.ts';
import type { KmsOperation } from '../shared/providers/aws-kms/translate-error.ts';
import {
  archiveError,
  busError,
  connectionLost,
  dynamoDbError,
  kmsError,
  ledgerError,
  postgresError,
  signerError,
} from './adapter-errors.ts';
import type { Dice } from './dice.ts';
import type { FaultKind, Faults } from './faults.ts';
import { anyTime } from './models/any-time.ts';
import type { Process, Trouble } from './process.ts';

/**
 * What each call of a port meets: how long it takes, and what fails. An error that comes `before` came instead of the
 * effect; one that comes `after` is a lost answer: the effect has happened, and the caller cannot know. Queue and
 * executions fail in their own models.
 */
export interface TroubleWorld {
  readonly faults: Faults;
  /** For the latencies: a stream of its own. */
  readonly dice: Dice;
  /** True time. */
  readonly now: () => number;
}

type Fails = Pick<Trouble, 'before' | 'after'>;

/** What may happen to a call: the first that fires does. */
interface Chance {
  readonly kind: FaultKind;
  /** Left out: to any call. */
  readonly of?: 'writes';
  readonly fails: (method: string, dice: Dice) => Fails;
}

const WRITES =
  /^(create|replace|put|delete|mark|clear|report|advance|void|close|fill|set|install|remove|prepare|drop|publish)/;

const STORE: readonly Chance[] = [
  { kind: 'store-unavailable', fails: () => ({ before: connectionLost('simulated') }) },
  { kind: 'store-throttled', fails: () => ({ before: dynamoDbError('simulated', 'ThrottlingException') }) },
  {
    kind: 'serialization-failure',
    of: 'writes',
    fails: () => ({ before: postgresError('simulated', '40001') }),
  },
  { kind: 'store-reply-lost', of: 'writes', fails: () => ({ after: connectionLost('simulated') }) },
];

/** Half of them before KMS did anything, and half when the answer was under way. */
const kms = (error: (name: string, method: string) => KeyturnError): readonly Chance[] => [
  { kind: 'kms-throttled', fails: (method) => ({ before: error('ThrottlingException', method) }) },
  {
    kind: 'kms-error',
    fails: (method, dice) =>
      dice.chance(0.5)
        ? { before: error('KMSInternalException', method) }
        : { after: error('TimeoutError', method) },
  },
];

const OPERATIONS: Readonly<Record<string, KmsOperation>> = {
  generateKek: 'GenerateDataKeyWithoutPlaintext',
  unwrapKek: 'Decrypt',
  rewrapKek: 'ReEncrypt',
};

const CHANCES: Readonly<Record<string, readonly Chance[]>> = {
  ledger: [
    { kind: 'ledger-throttled', fails: () => ({ before: ledgerError('ThrottlingException') }) },
    { kind: 'ledger-reply-lost', of: 'writes', fails: () => ({ after: ledgerError('TimeoutError') }) },
  ],
  store: STORE,
  fence: STORE,
  search: STORE,
  provider: kms((name, method) => kmsError(name, OPERATIONS[method] ?? 'DescribeKey', 'simulated')),
  signer: kms((name) => signerError(name)),
  // A bucket is a store, too.
  archive: [
    { kind: 'store-unavailable', fails: () => ({ before: archiveError('ServiceUnavailable') }) },
    { kind: 'store-throttled', fails: () => ({ before: archiveError('SlowDown') }) },
    { kind: 'store-reply-lost', of: 'writes', fails: () => ({ after: archiveError('TimeoutError') }) },
  ],
  bus: [{ kind: 'event-lost', fails: () => ({ before: busError('InternalFailure') }) }],
};

export function createTrouble({
  faults,
  dice,
  now,
}: TroubleWorld): (process: Process, label: string) => Trouble {
  const outages = createOutages(faults, now);
  return ({ name }, label) => {
    const call = callOf(label);
    const there = latency(dice);
    const back = dice.chance(LATE_ANSWERS) ? latency(dice) : 0;
    const where = `${name} ${label}`;
    const slow = call.slow && faults.fires('kms-latency', where);
    const extra = slow ? faults.dice.between(1_000, LONGEST) : 0;
    const { before, after } = outages.failureOf(call, where);
    return { before, after, there, back: back + extra };
  };
}

/** What may happen to a call, by its label. */
interface Call {
  readonly method: string;
  readonly chances: readonly Chance[];
  readonly slow: boolean;
}

/** There are no more labels than the ports have methods. */
const calls = new Map<string, Call>();

function callOf(label: string): Call {
  const known = calls.get(label);
  if (known !== undefined) return known;
  const dot = label.indexOf('.');
  const port = label.slice(0, dot);
  const method = label.slice(dot + 1);
  const all = Object.hasOwn(CHANCES, port) ? (CHANCES[port] ?? []) : [];
  const chances = all.filter((chance) => chance.of !== 'writes' || WRITES.test(method));
  const call = { method, chances, slow: SLOW.has(port) };
  calls.set(label, call);
  return call;
}

const NOTHING: Fails = {};

/** Some faults are the first of an outage: for minutes, or longer than any cache may serve, every such call fails. */
function createOutages(faults: Faults, now: () => number) {
  /** By kind. */
  const until = new Map<FaultKind, number>();
  const isOut = (kind: FaultKind) => !faults.stopped && now() < (until.get(kind) ?? 0);
  return {
    failureOf({ method, chances }: Call, where: string): Fails {
      for (const { kind, fails } of chances) {
        if (isOut(kind)) return fails(method, faults.dice);
        if (!faults.fires(kind, where)) continue;
        if (OUTAGES.has(kind) && faults.dice.chance(LASTS))
          until.set(kind, now() + anyTime(faults.dice, LONGEST_OUTAGE));
        return fails(method, faults.dice);
      }
      return NOTHING;
    },
  };
}

const OUTAGES: ReadonlySet<FaultKind> = new Set(['kms-error', 'ledger-throttled', 'store-unavailable']);
/** Of their firings. */
const LASTS = 0.03;
const LONGEST_OUTAGE = 3 * 3_600_000;

/** The other answers come with the effect: what happens in between happens before the next call as well. */
const LATE_ANSWERS = 0.1;
const SLOW = new Set(['provider', 'signer']);
const LONGEST = 30_000;

/** Milliseconds one way: up to 20; of 200, one takes up to two seconds; of 4,000, one up to 30. */
function latency(dice: Dice): number {
  const draw = dice.below(4_000);
  if (draw === 0) return dice.between(2_000, LONGEST);
  if (draw <= 20) return dice.between(20, 2_000);
  return 1 + (draw % 20);
}
