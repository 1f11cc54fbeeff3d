import type { KMSClient } from '@aws-sdk/client-kms';
import type { Clock } from '../../clock/clock.ts';
import type { ProviderError } from '../../errors/errors.ts';
import type { MetricName, Metrics } from '../../metrics/metrics.ts';
import type { KmsClients } from './client.ts';
import { regionOf } from './key-arn.ts';
import type { RequestBudget } from './request-budget.ts';
import { type KmsCall, translateError } from './translate-error.ts';

/**
 * One call to KMS: waits for its turn, is counted and timed, and fails as a ProviderError. Goes to the region of the
 * first root key.
 */
export type CallKms = <Output>(
  call: KmsCall,
  send: (client: KMSClient) => Promise<Output>,
) => Promise<Output>;

export interface CallOptions {
  readonly clients: KmsClients;
  readonly budget: RequestBudget;
  readonly clock: Pick<Clock, 'now'>;
  readonly metrics: Metrics;
}

export function createCalls({ clients, budget, clock, metrics }: CallOptions): CallKms {
  return async (call, send) => {
    await budget.take(call.rootKeyIds);
    const startedAt = clock.now();
    metrics.add('KmsCalls', 1);
    try {
      return await send(clients.of(regionOf(call.rootKeyIds[0])));
    } catch (cause) {
      const error = translateError(cause, call);
      metrics.add('KmsErrors', 1);
      const metric = METRIC_OF[error.code];
      if (metric !== undefined) metrics.add(metric, 1);
      throw error;
    } finally {
      // The machine's clock may have been set back meanwhile.
      metrics.add('KmsLatency', Math.max(0, clock.now() - startedAt));
    }
  };
}

const METRIC_OF: Readonly<Partial<Record<ProviderError['code'], MetricName>>> = {
  PROVIDER_DENIED: 'KmsDenied',
  PROVIDER_THROTTLED: 'KmsThrottled',
};
