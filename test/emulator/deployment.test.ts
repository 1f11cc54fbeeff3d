import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspect } from '../../shared/envelope/index.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { eventually } from '../support/stack.ts';
import { type DeployedService, startDeployedService } from './support/deployed-service.ts';
import { clientOf } from './support/emulators.ts';
import { expected, putCustomers, putInvoices, readCustomers, readInvoices } from './support/records.ts';

/**
 * The service as users deploy it: packaged by osls, its template created by CloudFormation, started by what starts it in
 * AWS. Only KMS is another emulator's, for the cryptography is real.
 */

const TENANT = 'acme';
const CUSTOMERS = 200;
const INVOICES = 90;

let service: DeployedService;

beforeAll(async () => {
  service = await startDeployedService();
  await createKey(service.deps, TENANT, 'default');
  await putCustomers(service.dynamodb, service.cipher, TENANT, CUSTOMERS);
  await putInvoices(service.database, service.cipher, TENANT, 0, INVOICES);
});
afterAll(() => service?.stop());

describe('a rotation that an event on the bus asks for', () => {
  let job: Job;

  test('goes through every step to its end', async () => {
    await putEvent('TenantKeyRotationRequested', {
      schemaVersion: 1,
      tenant: TENANT,
      requestId: 'request-1',
      requestedBy: 'test-suite',
    });
    job = await eventually(() => ended('rotate', TENANT), 'the end of the rotation', 120_000);
    expect(job).toMatchObject({ status: 'COMPLETED', from: 1, to: 2, blocker: null });
  });

  test('left every value as it was, under the new version', async () => {
    const values = await storedValues(TENANT);
    expect(values).toHaveLength(2 * CUSTOMERS + INVOICES);
    for (const { context, envelope } of values) {
      expect(inspect(envelope).version).toBe(2);
      expect(Buffer.from(await service.cipher.open(context, envelope)).toString()).toBe(expected(context));
    }
  });
});

async function putEvent(type: string, detail: object): Promise<void> {
  const client = new EventBridgeClient(clientOf(service.ministack));
  const entry = {
    EventBusName: service.resources.get('EventBus'),
    Source: 'com.example.app',
    DetailType: type,
    Detail: JSON.stringify(detail),
  };
  const { FailedEntryCount } = await client.send(new PutEventsCommand({ Entries: [entry] }));
  client.destroy();
  expect(FailedEntryCount).toBe(0);
}

async function ended(kind: Job['kind'], tenant: string): Promise<Job | null> {
  const jobs = await service.deps.ledger.listJobs({ kind, statuses: ['COMPLETED', 'BLOCKED'] });
  return jobs.find((job) => job.tenant === tenant) ?? null;
}

async function storedValues(tenant: string) {
  return [
    ...(await readCustomers(service.dynamodb, tenant)),
    ...(await readInvoices(service.database, tenant)),
  ];
}
