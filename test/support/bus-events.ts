import { randomUUID } from 'node:crypto';
import type { KeyturnEvent } from '../../shared/bus/events.ts';

/** An event as a finished rotation publishes it. */
export function rotationCompleted(from: number, tenant = 'acme'): KeyturnEvent {
  return {
    detailType: 'KeyRotationCompleted',
    detail: {
      schemaVersion: 1,
      tenant,
      purpose: 'default',
      keyId: '01900000-0000-7000-8000-000000000001',
      jobId: '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11',
      from,
      to: from + 1,
      completedAt: '2026-01-01T00:00:00.000Z',
      purgeNotBefore: '2026-02-01T00:00:00.000Z',
    },
  };
}

/** The detail of a request, as an application sends it. */
export function requestDetail(changes: object = {}): object {
  return {
    schemaVersion: 1,
    tenant: 'acme',
    requestId: randomUUID(),
    requestedBy: 'billing-service',
    ...changes,
  };
}
