import { TokenBucket } from 'limiter';

/**
 * How often one process calls KMS for one root key. KMS quotas are shared by everything in the account, so a rotation
 * of many keys must leave room for the applications. First come, first served; a call waits and never fails.
 */
export interface RequestBudget {
  /** Resolves when a request for each of these root keys may be sent. */
  take(rootKeyIds: Iterable<string>): Promise<void>;
}

const SECOND = 1000;
/** What may be sent at once after a rest: a tenth of a second's worth, so that no second has much more than its rate. */
const BURST = 0.1;

export function createRequestBudget(requestsPerSecond: number): RequestBudget {
  const buckets = new Map<string, TokenBucket>();
  const bucketOf = (rootKeyId: string): TokenBucket => {
    let bucket = buckets.get(rootKeyId);
    if (bucket === undefined) {
      const bucketSize = Math.max(1, Math.floor(requestsPerSecond * BURST));
      bucket = new TokenBucket({ bucketSize, tokensPerInterval: requestsPerSecond, interval: SECOND });
      // It would begin empty, and delay the first call of a process.
      bucket.content = bucketSize;
      buckets.set(rootKeyId, bucket);
    }
    return bucket;
  };
  return {
    async take(rootKeyIds) {
      for (const rootKeyId of new Set(rootKeyIds)) await bucketOf(rootKeyId).removeTokens(1);
    },
  };
}
