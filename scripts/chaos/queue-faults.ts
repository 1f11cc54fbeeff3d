import { SendMessageBatchCommand, type SendMessageBatchCommandInput, SQSClient } from '@aws-sdk/client-sqs';
import type { Dice } from '../../simulation/dice.ts';
import { type QueueFaults, shuffle } from './plan.ts';

/**
 * What a standard queue may do to its messages, done to those that are sent: it delivers some twice, some late, and none
 * in order. The copies are bytes of the originals, and go through the queue as they do.
 */

export interface QueueCounts {
  readonly doubled: number;
  readonly delayed: number;
  readonly reordered: number;
}

export interface FaultyQueue {
  /** For the composition root: puts the faults into a client of SQS; leaves any other as it is. */
  instrument<Client>(client: Client): Client;
  /** Until then messages are left alone. */
  set(faults: QueueFaults): void;
}

type Entries = NonNullable<SendMessageBatchCommandInput['Entries']>;

export function createFaultyQueue(dice: Dice, onDone: (counts: QueueCounts) => void): FaultyQueue {
  let faults: QueueFaults | null = null;

  const disturb = (entries: Entries, { doubled, delayed, longestSeconds }: QueueFaults) => {
    const delay = () => dice.between(1, longestSeconds);
    const sent = shuffle(dice, entries).map((entry) =>
      dice.chance(delayed) ? { ...entry, DelaySeconds: delay() } : entry,
    );
    const copies = shuffle(dice, entries)
      .filter(() => dice.chance(doubled))
      .map((entry) => ({ ...entry, DelaySeconds: dice.chance(0.5) ? delay() : 0 }));
    onDone({
      doubled: copies.length,
      delayed: sent.filter(({ DelaySeconds = 0 }) => DelaySeconds > 0).length,
      reordered: sent.filter(({ Id }, i) => Id !== entries[i]?.Id).length,
    });
    return { sent, copies };
  };

  return {
    set(next) {
      faults = next;
    },
    instrument(client) {
      if (!(client instanceof SQSClient)) return client;
      const copied = new WeakSet<object>();
      client.middlewareStack.add(
        (next) => async (args) => {
          const { input } = args;
          if (faults === null || !isBatch(input) || copied.has(input)) return next(args);
          const { sent, copies } = disturb(input.Entries ?? [], faults);
          const reply = await next({ ...args, input: { ...input, Entries: sent } });
          if (copies.length > 0) {
            const again = { ...input, Entries: copies };
            copied.add(again);
            // Nobody asked for them: that they cannot be sent is no failure.
            await client.send(new SendMessageBatchCommand(again)).catch(() => undefined);
          }
          return reply;
        },
        { step: 'initialize', name: 'faultyQueue' },
      );
      return client;
    },
  };
}

function isBatch(input: object): input is SendMessageBatchCommandInput {
  return 'Entries' in input && 'QueueUrl' in input;
}
