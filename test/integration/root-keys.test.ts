import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_FUNCTIONS } from '../../functions/index.ts';
import { type ComposedDeps, createConfiguredKeyring } from '../../shared/deps/compose.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { createTestRootKeys, type TestRootKeys } from '../../simulation/models/root-keys.ts';
import { createPeople, emailOf, PEOPLE_SET, type People, TENANT } from '../support/people.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** The customer's root key, on the embedded stack: real queue, engine, ledger and database. */

const COUNT = 300;
const KEY = { tenant: TENANT, purpose: 'default', requestedBy: 'test' };

let stack: TestStack;
let people: People;
let rootKeys: TestRootKeys;
let rootKeyId: string;
/** Called before each write to the record store. */
let beforeReplace: (call: number) => Promise<void>;

const decorate = (deps: ComposedDeps): ComposedDeps => {
  let calls = 0;
  const withRootKeys = { ...deps, provider: rootKeys.provider };
  return {
    ...withRootKeys,
    keyring: createConfiguredKeyring(withRootKeys),
    recordSets: {
      ...deps.recordSets,
      store: (name) => {
        const store = deps.recordSets.store(name);
        return {
          ...store,
          replaceFrames: async (changes) => {
            calls += 1;
            await beforeReplace(calls);
            return store.replaceFrames(changes);
          },
        };
      },
    },
  };
};

beforeEach(async () => {
  rootKeys = createTestRootKeys();
  rootKeyId = rootKeys.provider.rootKeyFor('');
  beforeReplace = async () => undefined;
  stack = await startTestStack(
    { recordSets: PEOPLE_SET, rotation: { chunkSize: 10, segments: 2 } },
    { sweepSeconds: 3600, visibilitySeconds: 1, decorate },
  );
  people = await createPeople(stack, COUNT);
});
afterEach(() => stack.remove());

/** What EventBridge would hand over, minutes late and twice. */
async function tell(): Promise<void> {
  const event = {
    source: 'aws.kms',
    'detail-type': 'AWS API Call via CloudTrail',
    detail: { requestParameters: { keyId: rootKeyId } },
  };
  const handler = EVENT_FUNCTIONS['kms-event'](stack.deps);
  for (const _ of [1, 2]) await handler(event, { getRemainingTimeInMillis: () => 60_000 });
}

describe('a customer who disables their root key in the middle of a rotation', () => {
  it('pauses it; enabled again, it ends exactly, and so does the purge', async () => {
    beforeReplace = async (call) => {
      if (call !== 5) return;
      rootKeys.set(rootKeyId, 'DISABLED');
      await tell();
    };
    const { job } = await requestRotation(stack.deps, KEY);
    await eventually(async () => {
      const { status } = (await stack.deps.ledger.getJob(job.jobId)) ?? { status: null };
      return status === 'PAUSED';
    }, 'the pause');
    // The application is refused as well, within its cache's age.
    await eventually(
      async () =>
        people.open(1).then(
          () => false,
          () => true,
        ),
      'the revocation',
    );
    const key = await stack.deps.ledger.getKey(TENANT, 'default');
    expect(Object.values(key?.versions ?? {}).map(({ state }) => state)).toEqual(['SUSPENDED', 'SUSPENDED']);
    expect(await requestRotation(stack.deps, KEY)).toMatchObject({ answer: 'paused' });

    rootKeys.set(rootKeyId, 'ENABLED');
    await tell();
    const ended = await jobEnded(stack, job.jobId);
    expect(ended).toMatchObject({ status: 'COMPLETED', attempt: 2, blocker: null, pause: null });
    const total = sumProgress(await readProgress(stack.deps, ended));
    expect(total).toMatchObject({ quarantined: 0, remaining: 0 });
    for (let id = 1; id <= COUNT; id++) expect(await people.open(id)).toBe(emailOf(id));

    const purge = await eventually(
      () => requestPurge(stack.deps, { ...KEY, version: 1 }).catch(() => null),
      'the grace',
    );
    expect(await jobEnded(stack, purge.job.jobId)).toMatchObject({ status: 'COMPLETED' });
    for (let id = 1; id <= COUNT; id += 37) expect(await people.open(id)).toBe(emailOf(id));
  });
});
