import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { create } from '../../functions/kms-event/index.ts';
import { concernsRootKey, keyReferences } from '../../functions/kms-event/key-references.ts';
import { TransientError } from '../../functions/lambda.ts';
import { SCHEDULES } from '../../local/event-parts.ts';
import { LedgerError } from '../../shared/errors/errors.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { pauseJob } from '../../shared/rotation/pause-job.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../simulation/models/root-keys.ts';
import { KEY, PURPOSE, prepareWorlds, snapshot, stateOf, type World } from '../support/memory-world.ts';
import { RECORDED_EVENTS } from '../support/recorded-events.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());
const context = { getRemainingTimeInMillis: () => 60_000 };

/** The id in the recorded events. */
const RECORDED = '1234abcd-12ab-34cd-56ef-1234567890ab';
const ARN = `arn:aws:kms:eu-central-1:444455556666:key/${RECORDED}`;
const OWN_ARN = `arn:aws:kms:eu-central-1:111122223333:key/${RECORDED}`;

let world: World;
let rootKeys: TestRootKeys;
let rootKeyId: string;
let counted: string[];
beforeEach(async () => {
  rootKeys = createTestRootKeys();
  rootKeyId = rootKeys.provider.rootKeyFor('');
  world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider });
  counted = [];
  world.meter.metrics = { add: (name, value) => value > 0 && counted.push(name) };
  rootKeys.calls.length = 0;
});

const send = (event: unknown) => create(world.deps)(structuredClone(event), context);
const native = (id: string) => ({
  source: 'aws.kms',
  'detail-type': 'KMS CMK Rotation',
  resources: [],
  detail: { 'key-id': id },
});
const apiCall = (parts: object) => ({
  source: 'aws.kms',
  'detail-type': 'AWS API Call via CloudTrail',
  resources: [],
  detail: { eventName: 'DisableKey', requestParameters: null, responseElements: null, ...parts },
});

describe('the keys that an event names', () => {
  it.each<[string, unknown, string[]]>([
    ['a native event', native(RECORDED), [RECORDED]],
    ['its resources', { resources: [OWN_ARN], detail: {} }, [OWN_ARN]],
    ['a bare id in a request', apiCall({ requestParameters: { keyId: RECORDED } }), [RECORDED]],
    ['an alias', apiCall({ requestParameters: { keyId: 'alias/mine' } }), ['alias/mine']],
    ['an answer', apiCall({ responseElements: { keyId: ARN } }), [ARN]],
    ['a new key', apiCall({ responseElements: { keyMetadata: { arn: ARN } } }), [ARN]],
    [
      'an alias that moves',
      apiCall({ requestParameters: { aliasName: 'alias/a', targetKeyId: RECORDED } }),
      [RECORDED, 'alias/a'],
    ],
    ['a service event', apiCall({ resources: [{ ARN, type: 'AWS::KMS::Key' }] }), [ARN]],
    [
      'one and the same thing twice',
      apiCall({ requestParameters: { keyId: ARN }, resources: [{ ARN }] }),
      [ARN],
    ],
    ['parts of no form', apiCall({ requestParameters: 7, resources: [7, null, { ARN: 8 }, { ARN }] }), [ARN]],
    ['nothing', apiCall({}), []],
    ['no event', 'text', []],
  ])('%s', (_, event, found) => {
    expect(keyReferences(event)).toEqual(found);
  });

  it('are few, and none is longer than an ARN can be', () => {
    const resources = Array.from({ length: 5000 }, (_, i) => `${ARN}${i}`);
    expect(keyReferences({ resources }).length).toBe(20);
    expect(keyReferences({ resources: ['x'.repeat(3000)], detail: { 'key-id': '' } })).toEqual([]);
  });

  it.each<[string, string, boolean]>([
    [ARN, ARN, true],
    [OWN_ARN, ARN, true],
    [RECORDED, ARN, true],
    ['alias/mine', ARN, true],
    ['arn:aws:kms:eu-central-1:111122223333:alias/mine', ARN, true],
    [RECORDED.replace('1', '2'), ARN, false],
    [RECORDED.slice(1), ARN, false],
    [`key/${RECORDED}`, ARN, true],
    ['', ARN, false],
  ])('%s may be %s: %s', (named, rootKey, may) => {
    expect(concernsRootKey(named, rootKey)).toBe(may);
  });

  it('never fail, whatever stands there', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), fc.anything(), (a, b, c) => {
        for (const event of [
          a,
          { resources: a, detail: b },
          apiCall({ requestParameters: a, resources: [b, c] }),
        ])
          for (const reference of keyReferences(event)) {
            expect(typeof reference).toBe('string');
            concernsRootKey(reference, ARN);
          }
      }),
      { numRuns: 500 },
    );
  });
});

describe('an event', () => {
  it.each<[string, (id: string) => unknown]>([
    ['by ARN', (id) => native(id)],
    ['by id', (id) => native(id.slice(id.lastIndexOf('/') + 1))],
    ['by alias', () => apiCall({ requestParameters: { keyId: 'alias/anything' } })],
    [
      'in another account',
      (id) => apiCall({ resources: [{ ARN: id.replace('111122223333', '999900001111') }] }),
    ],
  ])('%s makes the truth be read, and followed', async (_, event) => {
    const { job } = await requestRotation(world.deps, KEY);
    rootKeys.set(rootKeyId, 'DISABLED');
    expect(await send(event(rootKeyId))).toEqual({
      ...{ matched: 1, changedKeys: 1, pausedJobs: 1, resumedJobs: 0, rewrapped: 0, left: 0, failed: 0 },
    });
    expect(await stateOf(world, 1)).toBe('SUSPENDED');
    rootKeys.set(rootKeyId, 'ENABLED');
    rootKeys.rotate(rootKeyId);
    expect(await send(event(rootKeyId))).toMatchObject({ changedKeys: 1, resumedJobs: 1, rewrapped: 1 });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2 });
    // Its role does not let it unwrap a KEK.
    await send(event(rootKeyId));
    expect(rootKeys.calls).not.toContain('unwrapKek');
  });

  it('that is forged changes nothing: what it says is not what is done', async () => {
    await requestRotation(world.deps, KEY);
    const before = await snapshot(world);
    for (const eventName of ['DisableKey', 'ScheduleKeyDeletion', 'DeleteKey', 'RotateKey', 'EnableKey'])
      expect(await send(apiCall({ eventName, resources: [{ ARN: rootKeyId }] }))).toMatchObject({
        matched: 1,
      });
    expect(await snapshot(world)).toEqual(before);
  });

  it('about a key that nobody uses asks for nothing', async () => {
    const other = rootKeys.add();
    expect(await send(native(other))).toMatchObject({ matched: 0, failed: 0 });
    expect(rootKeys.calls).toEqual([]);
  });

  it('about one root key leaves the keys of the others alone', async () => {
    const other = rootKeys.add();
    rootKeys.ofTenant.set('globex', other);
    await createKey(world.deps, 'globex', PURPOSE);
    for (const id of [rootKeyId, other]) rootKeys.set(id, 'DISABLED');
    expect(await send(native(other))).toMatchObject({ matched: 1, changedKeys: 1 });
    expect(await stateOf(world, 1)).toBe('ACTIVE');
    expect((await world.ledger.getKey('globex', PURPOSE))?.versions['1']?.state).toBe('SUSPENDED');
  });

  it.each([[null], [undefined], ['text'], [7], [[]], [{}], [{ detail: null }], [apiCall({})]])(
    'that is malformed is counted and answered: %j',
    async (event) => {
      expect(await send(event)).toMatchObject({ matched: 0, failed: 0 });
      expect(counted).toEqual(['KmsEventsUnreadable']);
    },
  );

  it('is delivered again when the ledger cannot be read', async () => {
    world.faults.before = (call) => {
      if (call === 'ledger.listKeys')
        throw new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });
    };
    await expect(send(native(rootKeyId))).rejects.toBeInstanceOf(TransientError);
  });
});

describe('an event that could not be followed in all', () => {
  it('is delivered again when the root key could not be asked for, and then followed', async () => {
    rootKeys.set(rootKeyId, 'DISABLED');
    await send(native(rootKeyId));
    rootKeys.set(rootKeyId, 'ENABLED');
    rootKeys.silent.add(rootKeyId);
    const error: unknown = await send(native(rootKeyId)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TransientError);
    expect(String(error)).toBe('TransientError: INCOMPLETE: 1 failed, 0 left');
    expect(await stateOf(world, 1)).toBe('SUSPENDED');
    rootKeys.silent.delete(rootKeyId);
    expect(await send(native(rootKeyId))).toMatchObject({ changedKeys: 1, failed: 0 });
    expect(await stateOf(world, 1)).toBe('ACTIVE');
  });

  it('when one key failed or its time was over; the others are done', async () => {
    await createKey(world.deps, 'globex', PURPOSE);
    rootKeys.set(rootKeyId, 'DISABLED');
    let fails = true;
    world.faults.before = (call) => {
      if (call !== 'ledger.replaceKey' || !fails) return;
      fails = false;
      throw new LedgerError('LEDGER_DENIED', 'no');
    };
    await expect(send(native(rootKeyId))).rejects.toThrow('INCOMPLETE: 1 failed, 0 left');
    const states = async () => {
      const keys = await world.ledger.listKeys();
      return keys.map(({ versions }) => versions['1']?.state).sort();
    };
    expect(await states()).toEqual(['ACTIVE', 'SUSPENDED']);
    const late = create(world.deps)(native(rootKeyId), { getRemainingTimeInMillis: () => 29_000 });
    await expect(late).rejects.toThrow('INCOMPLETE: 0 failed, 2 left');
    expect(await send(native(rootKeyId))).toMatchObject({ changedKeys: 1 });
    expect(await states()).toEqual(['SUSPENDED', 'SUSPENDED']);
  });
});

describe('the schedule', () => {
  const scheduled = () => send(SCHEDULES['root-keys'].input);
  /** Of the alarm's metric, zeros too. */
  let unusable: number[];
  beforeEach(() => {
    unusable = [];
    world.meter.metrics = { add: (name, value) => name === 'RootKeysUnusable' && unusable.push(value) };
  });

  it('asks for nothing where nothing is in doubt, and says that nothing is', async () => {
    await requestRotation(world.deps, KEY);
    rootKeys.calls.length = 0;
    expect(await scheduled()).toEqual({
      ...{ matched: 0, changedKeys: 0, pausedJobs: 0, resumedJobs: 0, rewrapped: 0, left: 0, failed: 0 },
    });
    expect(rootKeys.calls).toEqual([]);
    expect(unusable).toEqual([0]);
  });

  it('takes up what waits for a customer’s root key, of which no event tells, and asks for no other', async () => {
    const other = rootKeys.add();
    rootKeys.ofTenant.set('globex', other);
    await createKey(world.deps, 'globex', PURPOSE);
    const { job } = await requestRotation(world.deps, { ...KEY, tenant: 'globex' });
    rootKeys.set(other, 'DISABLED');
    await send(native(other));
    expect(await world.job(job.jobId)).toMatchObject({ status: 'PAUSED' });
    rootKeys.calls.length = 0;
    unusable.length = 0;
    expect(await scheduled()).toMatchObject({ matched: 1, changedKeys: 0 });
    expect(rootKeys.calls).toEqual(['inspectRootKey']);
    expect(unusable).toEqual([1]);
    rootKeys.set(other, 'ENABLED');
    expect(await scheduled()).toMatchObject({ matched: 1, changedKeys: 1, resumedJobs: 1 });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2 });
    expect(unusable).toEqual([1, 0]);
  });

  it('takes up a job that was paused, and suspended nothing', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await pauseJob(world.deps, job.jobId, {
      ...{ reason: 'ROOT_KEY', rootKeyId, by: null, at: world.clock.timestamp() },
    });
    expect(await scheduled()).toMatchObject({ resumedJobs: 1 });
  });

  it('leaves a job alone that a person paused', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await pauseJob(world.deps, job.jobId, {
      reason: 'PERSON',
      rootKeyId: null,
      by: null,
      at: world.clock.timestamp(),
    });
    expect(await scheduled()).toMatchObject({ matched: 0, resumedJobs: 0 });
  });

  it('knows of a root key that is configured and wraps nothing yet', async () => {
    const next = rootKeys.add();
    rootKeys.ofTenant.set(KEY.tenant, next);
    rootKeys.set(next, 'PENDING_DELETION');
    expect(await scheduled()).toMatchObject({ changedKeys: 0 });
    expect(unusable).toEqual([1]);
    rootKeys.set(next, 'ENABLED');
    expect(await scheduled()).toMatchObject({ rewrapped: 1 });
    expect(unusable).toEqual([1, 0]);
  });

  it('says nothing of what does not answer, and comes again by itself', async () => {
    rootKeys.set(rootKeyId, 'DISABLED');
    await send(native(rootKeyId));
    unusable.length = 0;
    rootKeys.silent.add(rootKeyId);
    expect(await scheduled()).toMatchObject({ failed: 1 });
    expect(unusable).toEqual([]);
  });
});

describe('the recorded events', () => {
  it.skipIf(RECORDED_EVENTS.length === 0)('are there (skipped without ../shared/events)', () => {
    expect(RECORDED_EVENTS.length).toBeGreaterThan(0);
  });

  it.each(RECORDED_EVENTS)('%s names its key, and is handled', async (_, event) => {
    const references = keyReferences(event);
    expect(references.some((reference) => concernsRootKey(reference, ARN))).toBe(true);
    expect(references.some((reference) => concernsRootKey(reference, rootKeyId))).toBe(false);
    const before = await snapshot(world);
    expect(await send(event)).toMatchObject({ matched: 0, failed: 0 });
    const ours = JSON.parse(JSON.stringify(event).replaceAll(RECORDED, rootKeyId.split('/')[1] ?? ''));
    expect(await send(ours)).toMatchObject({ matched: 1, changedKeys: 0, failed: 0 });
    expect(await snapshot(world)).toEqual(before);
    expect(counted).toEqual([]);
  });
});
