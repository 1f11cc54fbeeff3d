import { SendMessageBatchCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { LedgerError, RotationError } from '../errors/errors.ts';
import type { Authenticator } from '../ledger/authentication/authenticator.ts';
import { writeBody } from './message-body.ts';
import type { ChunkMessage, WorkQueue } from './work-queue.ts';

/** SendMessageBatch takes ten entries. D/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html */
const ENTRIES_A_BATCH = 10;
/** An entry that SQS refused for a passing reason is sent again this many times. */
const TRIES = 4;

export function createSqsWorkQueue(
  client: SQSClient,
  queueUrl: string,
  authenticator: Authenticator,
): WorkQueue {
  async function sendBatch(batch: readonly ChunkMessage[]): Promise<void> {
    let pending = await Promise.all(
      batch.map(async (message, i) => ({
        Id: String(i),
        MessageBody: await writeBody(authenticator, message),
        // On a standard queue this is the fair-queue group: one tenant's rotation does not hold up another's.
        MessageGroupId: groupId(message.tenant),
      })),
    );
    let reason = '';
    for (let attempt = 0; attempt < TRIES && pending.length > 0; attempt++) {
      const reply = await client.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: pending }));
      const failed = reply.Failed ?? [];
      const senderFault = failed.find((entry) => entry.SenderFault === true);
      if (senderFault !== undefined) {
        throw new RotationError('QUEUE_UNAVAILABLE', `SQS refused a chunk: ${senderFault.Code ?? 'no code'}`);
      }
      const ids = new Set(failed.map((entry) => entry.Id));
      reason = failed[0]?.Code ?? '';
      pending = pending.filter((entry) => ids.has(entry.Id));
    }
    if (pending.length > 0) {
      throw new RotationError('QUEUE_UNAVAILABLE', `SQS did not take ${pending.length} chunks: ${reason}`, {
        retryable: true,
      });
    }
  }

  return {
    async send(messages) {
      for (let i = 0; i < messages.length; i += ENTRIES_A_BATCH) {
        try {
          await sendBatch(messages.slice(i, i + ENTRIES_A_BATCH));
        } catch (cause) {
          if (cause instanceof RotationError || cause instanceof LedgerError) throw cause;
          throw new RotationError('QUEUE_UNAVAILABLE', 'The work queue cannot be reached', {
            retryable: true,
            cause,
          });
        }
      }
    },
  };
}

/** A group id takes 128 of a limited alphabet, so a tenant's name is encoded. */
function groupId(tenant: string): string {
  return Buffer.from(tenant).toString('base64url').slice(0, 128);
}
