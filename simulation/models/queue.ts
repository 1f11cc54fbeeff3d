import { z } from 'zod';
import { RotationError } from '../../shared/errors/errors.ts';
import type { Authenticator } from '../../shared/ledger/authentication/authenticator.ts';
import { writeBody } from '../../shared/queue/message-body.ts';
import type { WorkQueue } from '../../shared/queue/work-queue.ts';
import type { Dice } from '../dice.ts';
import type { Faults } from '../faults.ts';
import type { Scheduler } from '../scheduler.ts';
import type { World } from '../world.ts';
import { anyTime } from './any-time.ts';

/**
 * The queue of chunks: a standard queue of SQS, its dead letters, and the event source mapping that hands its messages
 * to process-chunk. Held to the contract of the real one by test/contracts/work-queue.ts.
 */

const SECOND = 1000;
const HOUR = 3600 * SECOND;
/** SendMessageBatch. D/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html */
const ENTRIES_A_REQUEST = 10;
/** The visibility timeout is so many of the function's. D/lambda/latest/dg/services-sqs-configure.html */
const TIMEOUTS_OF_VISIBILITY = 6;
const LONGEST_POLL_MS = 200;
/** A message that expires too early does it while it is worked on, which takes seconds. */
const LONGEST_WORK_MS = 16 * SECOND;

export interface QueueSettings {
  /** From each receive; six times what a call of the function may take. */
  readonly visibilitySeconds: number;
  /** From when a message was sent; of a dead letter, too. */
  readonly retentionSeconds: number;
  /** The next one makes it a dead letter. */
  readonly maxReceives: number;
  /** Messages in one call, at most. */
  readonly batchSize: number;
  /** Calls at one time, at most. */
  readonly concurrency: number;
}

export interface QueueParts {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly dice: Dice;
  readonly state: Authenticator;
  /** Settles always: a call has a timeout. */
  readonly invoke: World['invoke'];
  readonly settings: QueueSettings;
}

export interface QueueModel {
  readonly port: WorkQueue;
  /** Sends the dead letters back; returns how many. */
  redrive(): number;
  visible(): number;
  /** Sent, and not visible now: received, or delayed. */
  inFlight(): number;
  dead(): number;
}

interface Message {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  receives: number;
}

/** What a receive gives the right to: deleting the message, as long as nobody else received it. */
interface Receipt {
  readonly message: Message;
  readonly receives: number;
}

export function createQueueModel({
  scheduler,
  faults,
  dice,
  state,
  invoke,
  settings,
}: QueueParts): QueueModel {
  const visibilityMs = settings.visibilitySeconds * SECOND;
  const retentionMs = settings.retentionSeconds * SECOND;
  // A message is in one of them, or gone. Sets are in the order of what came first.
  const visible = new Set<Message>();
  const hidden = new Set<Message>();
  const letters = new Set<Message>();
  let sent = 0;
  let calls = 0;
  let polling = false;

  function move(message: Message, to: Set<Message> | null): void {
    visible.delete(message);
    hidden.delete(message);
    letters.delete(message);
    to?.add(message);
  }

  function enqueue(body: string): void {
    const message: Message = { id: `message-${++sent}`, body, sentAt: scheduler.now(), receives: 0 };
    move(message, hidden);
    if (faults.fires('queue-reorder', message.id))
      scheduler.after(anyTime(faults.dice, HOUR), () => appear(message));
    else appear(message);
  }

  function appear(message: Message): void {
    const isLost = faults.fires('queue-retention-expiry', message.id);
    move(message, isLost ? null : visible);
    pollSoon();
  }

  function pollSoon(): void {
    if (polling || visible.size === 0 || calls >= settings.concurrency) return;
    polling = true;
    scheduler.after(dice.between(1, LONGEST_POLL_MS), () => {
      polling = false;
      const batch = receive(dice.between(1, settings.batchSize));
      if (batch.length > 0) void handOver(batch);
      pollSoon();
    });
  }

  function receive(count: number): readonly Receipt[] {
    const batch: Receipt[] = [];
    const inOrder = !faults.fires('queue-reorder', 'receive');
    for (const message of inOrder ? visible : shuffled(visible, faults.dice)) {
      if (batch.length === count) break;
      if (isExpired(message)) move(message, null);
      else if (message.receives >= settings.maxReceives) bury(message);
      else {
        message.receives += 1;
        move(message, hidden);
        batch.push({ message, receives: message.receives });
      }
    }
    return batch;
  }

  const isHeld = ({ message, receives }: Receipt) => hidden.has(message) && message.receives === receives;
  const release = (receipt: Receipt) => {
    if (isHeld(receipt)) appear(receipt.message);
  };
  const isExpired = ({ sentAt }: Message) => scheduler.now() - sentAt >= retentionMs;

  async function handOver(batch: readonly Receipt[]): Promise<void> {
    calls += 1;
    const keep = scheduler.after(visibilityMs, () => {
      for (const receipt of batch) release(receipt);
    });
    for (const receipt of batch) {
      if (!faults.fires('queue-visibility-expiry', receipt.message.id)) continue;
      scheduler.after(anyTime(faults.dice, LONGEST_WORK_MS), () => release(receipt));
    }
    const failed = await work(batch.map(({ message }) => message));
    calls -= 1;
    for (const receipt of batch) if (!failed.has(receipt.message.id)) remove(receipt);
    // Those that failed stay hidden until their time is over.
    if (!batch.some(isHeld)) keep();
    pollSoon();
  }

  /** Ids of the messages that come again. */
  async function work(messages: readonly Message[]): Promise<ReadonlySet<string>> {
    const all = new Set(messages.map(({ id }) => id));
    const Records = messages.map(({ id, body }) => ({ messageId: id, body }));
    const timeout = settings.visibilitySeconds / TIMEOUTS_OF_VISIBILITY;
    try {
      return failedOf(await invoke('process-chunk', { Records }, { timeout }), all);
    } catch {
      return all;
    }
  }

  function remove({ message, receives }: Receipt): void {
    if (!visible.has(message) && !hidden.has(message)) return;
    // Somebody else has it by now: such a deletion may say that it succeeded, and delete nothing.
    if (message.receives !== receives && dice.chance(0.5)) return;
    if (faults.fires('queue-delete-fails', message.id)) return;
    // Deleting it failed as often as it was received: a dead letter whose work is done.
    if (faults.fires('queue-redrive', message.id)) {
      move(message, letters);
      redriveLater(message);
      return;
    }
    move(message, null);
    // A server that was away while it was deleted still has it.
    if (faults.fires('queue-duplicate', message.id))
      scheduler.after(anyTime(faults.dice, retentionMs), () => appear(message));
  }

  function bury(message: Message): void {
    move(message, letters);
    if (faults.fires('queue-redrive', message.id)) redriveLater(message);
  }

  function redriveLater({ sentAt }: Message): void {
    scheduler.after(anyTime(faults.dice, sentAt + retentionMs - scheduler.now()), () => void redrive());
  }

  /**
   * A letter has the age of its message (D/AWSSimpleQueueService/latest/SQSDeveloperGuide/
   * setting-up-dead-letter-queue-retention.html); what is sent back is a new message
   * (sqs-configure-dead-letter-queue-redrive.html, beside it).
   */
  function redrive(): number {
    const sendBack = unexpired(letters);
    letters.clear();
    for (const { body } of sendBack) enqueue(body);
    return sendBack.length;
  }

  const unexpired = (messages: ReadonlySet<Message>) =>
    [...messages].filter((message) => !isExpired(message));

  return {
    port: {
      async send(messages) {
        for (let i = 0; i < messages.length; i += ENTRIES_A_REQUEST) {
          const request = messages.slice(i, i + ENTRIES_A_REQUEST);
          const bodies = await Promise.all(request.map((message) => writeBody(state, message)));
          const refused = faults.fires('queue-unavailable', 'send');
          for (const body of bodies) if (!refused || faults.dice.chance(0.5)) enqueue(body);
          if (refused)
            throw new RotationError('QUEUE_UNAVAILABLE', 'The work queue cannot be reached', {
              retryable: true,
            });
        }
      },
    },
    redrive,
    visible: () => unexpired(visible).length,
    inFlight: () => hidden.size,
    dead: () => unexpired(letters).length,
  };
}

const answerSchema = z
  .object({ batchItemFailures: z.array(z.object({ itemIdentifier: z.string() })).nullish() })
  .nullish();

/** What is no such answer, or names a message that is not of the batch, fails them all. D/lambda/latest/dg/services-sqs-errorhandling.html */
function failedOf(answer: unknown, all: ReadonlySet<string>): ReadonlySet<string> {
  const parsed = answerSchema.safeParse(answer);
  if (!parsed.success) return all;
  const failed = new Set(parsed.data?.batchItemFailures?.map(({ itemIdentifier }) => itemIdentifier));
  return failed.isSubsetOf(all) ? failed : all;
}

function shuffled<T>(from: Iterable<T>, dice: Dice): readonly T[] {
  return [...from]
    .map((each) => ({ each, place: dice.below(1_000_000) }))
    .sort((a, b) => a.place - b.place)
    .map(({ each }) => each);
}
