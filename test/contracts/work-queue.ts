import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { LedgerError } from '../../shared/errors/errors.ts';
import type { Authenticator } from '../../shared/ledger/authentication/authenticator.ts';
import { readBody } from '../../shared/queue/message-body.ts';
import type { ChunkMessage, WorkQueue } from '../../shared/queue/work-queue.ts';
import { createTestState, testState } from '../../simulation/models/state-key.ts';

/** What every queue of chunks must do, with the poller behind it; run on each. */

/** Times that each delivers a message before it is a dead letter. */
export const RECEIVES = 5;

export interface QueueUnderTest {
  /** Sends with this state's key. */
  sender(state: Authenticator): WorkQueue;
  /** Where nothing answers. */
  readonly unreachable: WorkQueue;
  /** From now on this is the worker's function. Once. */
  work(handler: (event: unknown) => Promise<unknown>): void;
  /** Lets the queue deliver until this is so. Throws when it does not come to that. */
  until(isSo: () => Promise<boolean>): Promise<void>;
  /** Messages that are neither deleted nor dead letters. */
  waiting(): Promise<number>;
  dead(): Promise<number>;
  stop(): Promise<void>;
}

/** A chunk, known by its number. */
export function chunkMessage(chunk: number, changes: Partial<ChunkMessage> = {}): ChunkMessage {
  return {
    v: 1,
    jobId: '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11',
    tenant: 'acme',
    recordSet: 'people',
    progress: { round: 1, segment: 0, page: 0, chunk, planned: 2 },
    keys: [[String(chunk)], ['ü"\\']],
    ...changes,
  };
}

export function chunkMessages(count: number): readonly ChunkMessage[] {
  return Array.from({ length: count }, (_, chunk) => chunkMessage(chunk));
}

const eventSchema = z.object({
  Records: z
    .array(z.object({ messageId: z.string().min(1), body: z.string() }))
    .min(1)
    .max(10),
});

export function describeWorkQueue(name: string, start: () => Promise<QueueUnderTest>): void {
  describe(`the work queue on ${name}`, () => {
    let subject: QueueUnderTest;
    let queue: WorkQueue;
    beforeEach(async () => {
      subject = await start();
      queue = subject.sender(testState);
    });
    afterEach(() => subject.stop());

    /** Works off the queue. `isGood` throws to have the whole call fail. */
    function work(isGood: (message: ChunkMessage, delivery: number) => boolean) {
      const seen: ChunkMessage[] = [];
      const ids = new Set<string>();
      const deliveries = new Map<string, number>();
      subject.work(async (event) => {
        const { Records } = eventSchema.parse(event);
        const failed: { itemIdentifier: string }[] = [];
        const messages = [];
        for (const { messageId, body } of Records) {
          const message = await readBody(testState, body, () => undefined);
          deliveries.set(body, (deliveries.get(body) ?? 0) + 1);
          seen.push(message);
          ids.add(messageId);
          messages.push({ messageId, message, delivery: deliveries.get(body) ?? 0 });
        }
        for (const { messageId, message, delivery } of messages)
          if (!isGood(message, delivery)) failed.push({ itemIdentifier: messageId });
        return { batchItemFailures: failed };
      });
      const times = (chunk: number) => seen.filter(({ progress }) => progress?.chunk === chunk).length;
      return { seen, ids, times };
    }
    const settled = (dead = 0) =>
      subject.until(async () => (await subject.waiting()) === 0 && (await subject.dead()) === dead);
    const chunkOf = ({ progress }: ChunkMessage) => progress?.chunk ?? -1;
    const inOrder = (messages: readonly ChunkMessage[]) =>
      [...messages].sort((a, b) => chunkOf(a) - chunkOf(b));

    it('takes none', async () => {
      await queue.send([]);
      expect(await subject.waiting()).toBe(0);
    });

    it('delivers any number, at most ten in a call, each once and as it was sent', async () => {
      const sent = [
        chunkMessage(-1, { tenant: 'Zürich "AG" & Söhne', progress: null }),
        ...chunkMessages(25),
      ];
      await queue.send(sent);
      expect(await subject.waiting()).toBe(26);
      const { seen, ids } = work(() => true);
      await settled();
      expect(inOrder(seen)).toEqual(sent);
      expect(ids.size).toBe(26);
    });

    it('delivers keys and tenants of any characters', async () => {
      const odd = ['\u{1f511}', '\ufffe\uffff', '\u0000\u0001\u007f\u0085', '\u2028', 'ü"\\', ''];
      const sent = odd.map((text, chunk) =>
        chunkMessage(chunk, { tenant: `t${text}`, keys: [[text], [text, text]] }),
      );
      await queue.send(sent);
      const { seen } = work(() => true);
      await settled();
      expect(inOrder(seen)).toEqual(sent);
    });

    it('delivers what is sent while it is worked on', async () => {
      const { seen } = work(() => true);
      await queue.send(chunkMessages(3));
      await settled();
      await queue.send([chunkMessage(3)]);
      await settled();
      expect(inOrder(seen).map(chunkOf)).toEqual([0, 1, 2, 3]);
    });

    it('takes chunks of the most records', async () => {
      const keys = Array.from({ length: 1000 }, (_, i) => [`${i}`.padStart(50, 'k')]);
      const sent = Array.from({ length: 12 }, (_, chunk) => chunkMessage(chunk, { keys }));
      await queue.send(sent);
      const { seen } = work(() => true);
      await settled();
      expect(inOrder(seen)).toEqual(sent);
    });

    it('delivers again what was reported as failed, and nothing else', async () => {
      await queue.send(chunkMessages(3));
      const { times } = work((message, delivery) => chunkOf(message) !== 1 || delivery === RECEIVES);
      await settled();
      expect([0, 1, 2].map(times)).toEqual([1, RECEIVES, 1]);
    });

    it('delivers all again of a call that failed', async () => {
      await queue.send([chunkMessage(0)]);
      const { times } = work((_, delivery) => {
        if (delivery < 3) throw new Error('the whole call');
        return true;
      });
      await settled();
      expect(times(0)).toBe(3);
    });

    it('makes dead letters of those that fail too often, whichever way', async () => {
      await queue.send(chunkMessages(4));
      const { times } = work((message) => {
        if (chunkOf(message) > 1) throw new Error('the whole call');
        return false;
      });
      await settled(4);
      expect([0, 1, 2, 3].map(times)).toEqual([RECEIVES, RECEIVES, RECEIVES, RECEIVES]);
    });

    it('delivers what somebody else sent, whose MAC is another', async () => {
      await subject.sender(createTestState('somebody')).send([chunkMessage(0)]);
      const { seen } = work(() => true);
      await settled(1);
      expect(seen).toEqual([]);
    });

    it('sends nothing while the state key is out of reach, and says why', async () => {
      const error = new LedgerError('LEDGER_UNAVAILABLE', 'out of reach', { retryable: true });
      const without = subject.sender({ ...testState, mac: () => Promise.reject(error) });
      await expect(without.send(chunkMessages(2))).rejects.toBe(error);
      expect(await subject.waiting()).toBe(0);
    });

    it('is unavailable, retryable, where nothing answers', async () => {
      await expect(subject.unreachable.send(chunkMessages(1))).rejects.toMatchObject({
        name: 'RotationError',
        code: 'QUEUE_UNAVAILABLE',
        retryable: true,
      });
    });
  });
}
