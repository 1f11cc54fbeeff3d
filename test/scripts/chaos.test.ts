import { ReceiveMessageCommand, SendMessageBatchCommand } from '@aws-sdk/client-sqs';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, describe as suite } from 'vitest';
import { createQueues, type LocalSqs, startSqs } from '../../local/sqs.ts';
import { createLocalClients } from '../../local/stack-info.ts';
import { describe } from '../../scripts/chaos/application.ts';
import { createFigures, FAULTS, faultWords } from '../../scripts/chaos/figures.ts';
import { createJournal, judge } from '../../scripts/chaos/journal.ts';
import { planRound, shuffle } from '../../scripts/chaos/plan.ts';
import { createFaultyQueue, type QueueCounts } from '../../scripts/chaos/queue-faults.ts';
import { EnvelopeError, KeyError } from '../../shared/errors/errors.ts';
import { createDice } from '../../simulation/dice.ts';

suite('the plan of a round', () => {
  const seeds = fc.integer({ min: 1, max: 2 ** 31 - 1 });
  const rounds = fc.integer({ min: 1, max: 1000 });

  it('is the same for the same seed and round, and another for another', () => {
    fc.assert(
      fc.property(seeds, rounds, (seed, round) => {
        expect(planRound(seed, round, 3)).toEqual(planRound(seed, round, 3));
        expect(planRound(seed, round, 3)).not.toEqual(planRound(seed + 1, round, 3));
      }),
    );
  });

  it('has every kind of fault, and a rotation of every tenant, within three rounds', () => {
    fc.assert(
      fc.property(seeds, rounds, (seed, first) => {
        const plans = [0, 1, 2].map((i) => planRound(seed, first + i, 3));
        const faults = plans.flatMap((plan) => plan.faults.map(({ fault }) => fault));
        const kinds = new Set(
          faults.map((fault) => {
            if (fault.what === 'kill') return `kill ${fault.hard}`;
            if (fault.what === 'postgres') return `postgres ${fault.how}`;
            return fault.what === 'cut' ? `cut ${fault.where}` : fault.what;
          }),
        );
        expect([...kinds].sort()).toEqual([
          ...['cut http', 'cut postgres', 'freeze', 'kill false', 'kill true'],
          ...['postgres crash', 'postgres fast'],
        ]);
        expect(faults.some((fault) => fault.what === 'kill' && fault.moments !== null)).toBe(true);
        for (const { requests } of plans) {
          const rotated = requests.flatMap(({ request }) =>
            request.what === 'rotate' ? [request.tenant] : [],
          );
          expect(rotated).toEqual([0, 1, 2]);
        }
      }),
    );
  });

  it('shuffles without losing anything, and not always to the same order', () => {
    const items = [1, 2, 3, 4, 5, 6];
    const orders = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const shuffled = shuffle(createDice(seed, 'test'), items);
      expect([...shuffled].sort()).toEqual(items);
      orders.add(shuffled.join());
    }
    expect(orders.size).toBeGreaterThan(10);
  });
});

suite('the journal', () => {
  const found = (generation: number, opensToIt = true) => ({ generation, opensToIt });

  it('a confirmed write must stand', () => {
    const journal = createJournal();
    journal.begin(1, 0);
    journal.stands(1, 0);
    journal.begin(1, journal.next(1));
    journal.stands(1, 1);
    expect(judge(journal.bounds(1), found(1))).toBeNull();
    expect(judge(journal.bounds(1), found(0))).toContain('write 1 was committed');
    expect(judge(journal.bounds(1), null)).toContain('is gone');
  });

  it('a write in doubt may stand or not, and nothing that was never sent', () => {
    const journal = createJournal();
    journal.begin(1, 0);
    journal.stands(1, 0);
    journal.begin(1, 1);
    for (const generation of [0, 1]) expect(judge(journal.bounds(1), found(generation))).toBeNull();
    expect(judge(journal.bounds(1), found(2))).toContain('nothing after 1 was ever sent');
  });

  it('what a reader has seen may not be gone again', () => {
    const journal = createJournal();
    journal.begin(1, 0);
    expect(judge(journal.bounds(1), null)).toBeNull();
    journal.stands(1, 0);
    expect(judge(journal.bounds(1), null)).toContain('is gone');
  });

  it('each write is another generation, also after one in doubt', () => {
    const journal = createJournal();
    const generations = [0, 1, 2].map(() => {
      const next = journal.next(5);
      journal.begin(5, next);
      return next;
    });
    expect(generations).toEqual([0, 1, 2]);
    expect(journal.ids()).toEqual([5]);
  });

  it('a row whose fields are not those of its own write is wrong, whatever its number', () => {
    const journal = createJournal();
    journal.begin(1, 0);
    journal.stands(1, 0);
    expect(judge(journal.bounds(1), found(0, false))).toContain('does not open to what write 0 sealed');
  });

  it('takes exactly the generations from the last that stands to the last that was begun', () => {
    const part = fc.integer({ min: 0, max: 6 });
    fc.assert(
      fc.property(part, part, part, (begun, standing, generation) => {
        const journal = createJournal();
        for (let g = 0; g <= begun; g++) journal.begin(1, g);
        const stands = Math.min(standing, begun);
        journal.stands(1, stands);
        const right = generation >= stands && generation <= begun;
        expect(judge(journal.bounds(1), found(generation)) === null).toBe(right);
      }),
    );
  });
});

suite('what an application may meet with', () => {
  it.each([
    ['an outage', new KeyError('KEY_UNAVAILABLE', 'no ledger', { retryable: true }), true],
    ['a connection that is cut', Object.assign(new Error('reset'), { code: 'ECONNRESET' }), true],
    ['a value that does not open', new EnvelopeError('DECRYPTION_FAILED', 'no'), false],
    ['a version that is destroyed', new KeyError('VERSION_DESTROYED', 'gone'), false],
    ['anything else', new TypeError('a bug'), false],
  ])('%s', (_, error, passing) => {
    expect(describe(error).passing).toBe(passing);
  });
});

suite('the figures', () => {
  it('count by round and in all, and name what never hit', () => {
    const figures = createFigures();
    figures.add('kill', 1);
    figures.add('doubled', 0);
    expect(figures.round()).toMatchObject({ kill: 1, doubled: 0 });
    figures.add('kill', 2);
    expect(figures.round().kill).toBe(2);
    expect(figures.total().kill).toBe(3);
    expect(figures.missing()).toEqual(Object.keys(FAULTS).filter((name) => name !== 'kill'));
    expect(faultWords(figures.total())).toMatch(/^3 kills, 0 stops of PostgreSQL/);
  });
});

suite('the faulty queue', () => {
  let sqs: LocalSqs;
  beforeEach(async () => {
    sqs = await startSqs();
  });
  afterEach(() => sqs.stop());

  it('delivers copies, delays and another order, and nothing that was not sent', async () => {
    const endpoint = sqs.endpoint;
    const clients = createLocalClients({
      ...{ sqs: endpoint, dynamodb: endpoint, stepFunctions: endpoint, eventBridge: endpoint },
    });
    const seen: QueueCounts[] = [];
    const queue = createFaultyQueue(createDice(1, 'test'), (counts) => seen.push(counts));
    const client = queue.instrument(clients.sqs);
    const { queueUrl } = await createQueues(client, 30);
    const bodies = ['a', 'b', 'c', 'd', 'e', 'f'];
    const send = () =>
      client.send(
        new SendMessageBatchCommand({
          QueueUrl: queueUrl,
          Entries: bodies.map((MessageBody, i) => ({ Id: String(i), MessageBody })),
        }),
      );
    const receive = async (count: number) => {
      const received: string[] = [];
      for (const end = Date.now() + 25_000; received.length < count && Date.now() < end; ) {
        const { Messages = [] } = await client.send(
          new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
        );
        received.push(...Messages.map(({ Body = '' }) => Body));
      }
      return received;
    };

    await send();
    expect(await receive(bodies.length)).toEqual(bodies);
    expect(seen).toEqual([]);

    queue.set({ doubled: 0.5, delayed: 0.5, longestSeconds: 1 });
    const { Successful = [], Failed = [] } = await send();
    // Whoever sent them hears of what it sent, and of nothing else.
    expect(Successful.map(({ Id }) => Id).sort()).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(Failed).toEqual([]);
    const [counts] = seen;
    expect(seen).toHaveLength(1);
    expect(counts?.doubled).toBeGreaterThan(0);
    expect(counts?.delayed).toBeGreaterThan(0);
    const received = await receive(bodies.length + (counts?.doubled ?? 0));
    expect(received).toHaveLength(bodies.length + (counts?.doubled ?? 0));
    expect([...new Set(received)].sort()).toEqual(bodies);
    expect(received.slice(0, bodies.length)).not.toEqual(bodies);
    for (const each of Object.values(clients)) each.destroy();
  });
});
