import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import { RotationError } from '../../shared/errors/errors.ts';

/** SQS's own counts; approximate, as it says. */
export interface QueueDepth {
  readonly waiting: number;
  readonly inFlight: number;
}

const attributesSchema = z.object({
  ApproximateNumberOfMessages: z.coerce.number(),
  ApproximateNumberOfMessagesNotVisible: z.coerce.number(),
});

export async function readQueueDepth(client: SQSClient, queueUrl: string): Promise<QueueDepth> {
  try {
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({
        QueueUrl: queueUrl,
        AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
      }),
    );
    const found = attributesSchema.parse(Attributes);
    return {
      waiting: found.ApproximateNumberOfMessages,
      inFlight: found.ApproximateNumberOfMessagesNotVisible,
    };
  } catch (cause) {
    throw new RotationError('QUEUE_UNAVAILABLE', 'The queue does not say how many messages it has', {
      cause,
      retryable: true,
    });
  }
}
