import { PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLocalClients } from '../../local/stack-info.ts';
import type { KeyturnEvent } from '../../shared/bus/events.ts';
import type { ComposedDeps } from '../../shared/deps/compose.ts';
import { requestDetail } from '../support/bus-events.ts';
import { kmsEvent } from '../support/events.ts';
import { createPeople, PEOPLE_SET, type People, TENANT } from '../support/people.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** Events in and out of a whole embedded stack, by the client that applications use. */

const published: KeyturnEvent[] = [];
let stack: TestStack;
let people: People;
let clients: ReturnType<typeof createLocalClients>;
beforeAll(async () => {
  // Seen once the bus has taken it.
  const decorate = (deps: ComposedDeps): ComposedDeps => ({
    ...deps,
    bus: {
      async publish(events) {
        await deps.bus.publish(events);
        published.push(...events);
      },
    },
  });
  stack = await startTestStack({ recordSets: PEOPLE_SET }, { decorate });
  clients = createLocalClients(stack.info.endpoints);
  people = await createPeople(stack, 20);
});
afterAll(async () => {
  for (const client of Object.values(clients ?? {})) client.destroy();
  await stack?.remove();
});

const request = (detail: object): PutEventsRequestEntry => ({
  EventBusName: stack.info.busName,
  Source: 'com.example.shop',
  DetailType: 'TenantKeyRotationRequested',
  Detail: JSON.stringify(detail),
});
const put = async (...Entries: PutEventsRequestEntry[]) => {
  expect(await clients.eventBridge.send(new PutEventsCommand({ Entries }))).toMatchObject({
    FailedEntryCount: 0,
  });
};

it('a request on the bus becomes one rotation and one purge, and news of both', async () => {
  const detail = requestDetail({ requestId: 'r-1' });
  await put(request(detail), request(detail));
  const [job] = await eventually(async () => {
    const jobs = await stack.deps.ledger.listJobs({ kind: 'rotate' });
    return jobs.length > 0 && jobs;
  }, 'the rotation');
  expect(job).toMatchObject({ tenant: TENANT, requestedBy: 'billing-service (request r-1)' });
  expect(await jobEnded(stack, job?.jobId ?? '')).toMatchObject({ status: 'COMPLETED' });
  await eventually(async () => published.length === 2, 'the news of the purge');
  expect(published.map(({ detailType }) => detailType)).toEqual(['KeyRotationCompleted', 'KeyVersionPurged']);
  expect(await people.open(7)).toContain('7');
  // The doubled one came while it ran, or finds it done.
  await stack.bus.idle();
  expect(await stack.deps.ledger.listJobs({ kind: 'rotate' })).toHaveLength(1);
});

it('a request that is not valid ends in the dead-letter queue as it was sent, with the fields at fault', async () => {
  const detail = requestDetail({ requestedBy: 'somebody@example.org' });
  await put(request(detail));
  await stack.bus.idle();
  const { Messages = [] } = await clients.sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: stack.info.eventDeadLetterQueueUrl ?? '',
      MessageAttributeNames: ['All'],
      MaxNumberOfMessages: 10,
      WaitTimeSeconds: 1,
    }),
  );
  expect(Messages).toHaveLength(1);
  expect(JSON.parse(Messages[0]?.Body ?? '')).toMatchObject({ source: 'com.example.shop', detail });
  expect(Messages[0]?.MessageAttributes).toMatchObject({
    ErrorMessage: { StringValue: 'INPUT_INVALID: detail.requestedBy' },
    Origin: { StringValue: 'rotation-requests' },
  });
});

it('a KMS event comes by the default bus, and changes nothing about a key that is not in use', async () => {
  const before = await stack.deps.ledger.listKeys();
  stack.bus.deliver(kmsEvent('KMS CMK Deletion'));
  await stack.bus.idle();
  expect(await stack.deps.ledger.listKeys()).toEqual(before);
  await expect(
    clients.eventBridge.send(
      new PutEventsCommand({ Entries: [{ ...request({}), EventBusName: 'default', Source: 'aws.kms' }] }),
    ),
  ).resolves.toMatchObject({ FailedEntryCount: 1 });
});
