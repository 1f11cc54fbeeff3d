import {
  CreateEventBusCommand,
  EventBridgeClient,
  PutRuleCommand,
  PutTargetsCommand,
  TestEventPatternCommand,
} from '@aws-sdk/client-eventbridge';
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RULES } from '../../local/event-parts.ts';
import { type EventPattern, matches } from '../../local/event-pattern.ts';
import { createEventBridgeBus } from '../../shared/bus/eventbridge-bus.ts';
import { type BusUnderTest, describeEventBus } from '../contracts/event-bus.ts';
import { requestDetail } from '../support/bus-events.ts';
import { apiCall, kmsEvent, rotationRequested, serviceEvent } from '../support/events.ts';
import { clientOf, startLocalEmu, startMinistack, startMoto } from './support/emulators.ts';
import type { Emulator } from './support/server.ts';

/** What EventBridge's emulators say of the adapter, and of the patterns, which are matched here by code of our own. */

const received = z.object({ source: z.string(), 'detail-type': z.string(), detail: z.unknown() });

/** A bus with a rule that takes everything of Keyturn's into a queue. */
async function busOn(emulator: Emulator): Promise<BusUnderTest> {
  const client = new EventBridgeClient(clientOf(emulator));
  const sqs = new SQSClient(clientOf(emulator));
  const nowhere = new EventBridgeClient({ ...clientOf({ endpoint: 'http://127.0.0.1:9' }), maxAttempts: 1 });
  const name = 'keyturn-test';
  await client.send(new CreateEventBusCommand({ Name: name }));
  await client.send(
    new PutRuleCommand({ Name: 'all', EventBusName: name, EventPattern: '{"source":["keyturn"]}' }),
  );
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'all' }));
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
  );
  const Arn = Attributes?.['QueueArn'];
  await client.send(
    new PutTargetsCommand({ Rule: 'all', EventBusName: name, Targets: [{ Id: 'queue', Arn }] }),
  );
  return {
    bus: createEventBridgeBus(client, name),
    unreachable: createEventBridgeBus(nowhere, name),
    async take(count) {
      const got: z.infer<typeof received>[] = [];
      for (let empty = 0; empty < (got.length < count ? 10 : 1); ) {
        const { Messages = [] } = await sqs.send(
          new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
        );
        if (Messages.length === 0) empty += 1;
        for (const { Body, ReceiptHandle } of Messages) {
          got.push(received.parse(JSON.parse(Body ?? '')));
          await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
        }
      }
      return got;
    },
    async stop() {
      for (const one of [client, sqs, nowhere]) one.destroy();
      await emulator.stop();
    },
  };
}

describeEventBus('moto', async () => busOn(await startMoto()));
describeEventBus('ministack', async () => busOn(await startMinistack()));

const EVENTS: readonly Record<string, unknown>[] = [
  rotationRequested(requestDetail()),
  { ...rotationRequested({}), 'detail-type': 'tenantKeyRotationRequested' },
  ...['KMS CMK Rotation', 'KMS Imported Key Material Expiration', 'KMS CMK Deletion', 'Other'].map(kmsEvent),
  ...['DisableKey', 'RotateKeyOnDemand', 'RotateKey', 'Decrypt', 'disableKey'].map((name) => apiCall(name)),
  ...['RotateKey', 'DeleteKey', 'DeleteExpiredKeyMaterial', 'RotateKeyOnDemand'].map(serviceEvent),
  apiCall('CreateKey', { eventSource: 'iam.amazonaws.com' }),
  { ...apiCall('DisableKey'), source: 'custom.kms' },
  { ...apiCall('DisableKey'), detail: {} },
  // A list in an event, and values of other kinds.
  apiCall('x', { eventName: ['DisableKey', 'x'] }),
  apiCall('x', { eventName: ['x', 'y'] }),
  apiCall('x', { eventName: [] }),
  apiCall('x', { eventName: null }),
  apiCall('x', { eventName: 7 }),
];

/** Besides the rules: what the matcher has to compare, by the smallest patterns. */
const PATTERNS: Readonly<Record<string, EventPattern>> = {
  ...Object.fromEntries(Object.entries(RULES).map(([name, { pattern }]) => [name, pattern])),
  'one field': { source: ['aws.kms'] },
  'a field within': { detail: { eventName: ['DisableKey', '7'] } },
};

describe.each([
  ['LocalEmu', startLocalEmu],
  ['ministack', startMinistack],
] as const)('event patterns as %s matches them', (_, start) => {
  let emulator: Emulator;
  beforeAll(async () => {
    emulator = await start();
  });
  afterAll(() => emulator?.stop());

  it.each(Object.entries(PATTERNS))('%s', async (_, pattern) => {
    const client = new EventBridgeClient(clientOf(emulator));
    for (const event of EVENTS) {
      const { Result } = await client.send(
        new TestEventPatternCommand({ EventPattern: JSON.stringify(pattern), Event: JSON.stringify(event) }),
      );
      expect(matches(pattern, event), JSON.stringify(event)).toBe(Result);
    }
    client.destroy();
  });
});
