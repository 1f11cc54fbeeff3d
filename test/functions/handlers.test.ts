import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../../functions/index.ts';
import { jobInput, PermanentError, step, TransientError, translate } from '../../functions/lambda.ts';
import {
  ConfigError,
  KeyError,
  type KeyturnError,
  LedgerError,
  ProviderError,
  RecordStoreError,
  RotationError,
  UnreadableItemError,
} from '../../shared/errors/errors.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { prepareWorlds } from '../support/memory-world.ts';

const worlds = await prepareWorlds();
const { deps } = await worlds.makeWorld(createMemoryLedger());
await worlds.remove();

const context = { getRemainingTimeInMillis: () => 60_000 };
const JOB = '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11';
const SECRET = 'somebody@example.org';

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => {
      throw new Error('It did not fail');
    },
    (error: unknown) => error,
  );

const INPUTS: Readonly<Record<keyof typeof STATE_FUNCTIONS, readonly string[]>> = {
  ActivateVersion: ['jobId'],
  BeginPurge: ['jobId'],
  CheckBarrier: ['jobId'],
  CheckSweep: ['jobId', 'round'],
  ConcludeAdoption: ['jobId', 'round'],
  ConcludeRound: ['jobId', 'round'],
  CreateVersion: ['jobId'],
  DestroyVersion: ['jobId', 'round'],
  ListSegment: ['jobId', 'round', 'segment'],
  PlanSweep: ['jobId'],
  ProveVersion: ['jobId'],
  RetireVersion: ['jobId'],
  StopJob: ['jobId', 'error'],
  TakeCensus: ['jobId', 'round', 'segment'],
};
const VALID = { jobId: JOB, round: 1, segment: 0, error: { Error: 'E', Cause: 'C' } };
const functions = Object.entries(STATE_FUNCTIONS);

describe('a state function', () => {
  it.each(functions)('%s names the fields of a bad input, and no value of it', async (name, create) => {
    const handler = create(deps);
    const inputs = Object.entries(INPUTS).find(([state]) => state === name)?.[1] ?? [];
    for (const bad of [
      {},
      { ...VALID, jobId: SECRET },
      ...inputs.map((field) => ({ ...VALID, [field]: [SECRET] })),
    ]) {
      const error = await failure(handler(bad, context));
      expect(error).toBeInstanceOf(PermanentError);
      expect(error).toMatchObject({
        name: 'PermanentError',
        message: expect.stringMatching(/^INPUT_INVALID: /),
      });
      expect(String(error)).not.toContain(SECRET);
    }
    const error = await failure(handler({}, context));
    expect(String(error)).toBe(`PermanentError: INPUT_INVALID: ${inputs.join(', ')}`);
    for (const bad of [null, undefined, 'text', 7, []])
      expect(String(await failure(handler(bad, context)))).toBe('PermanentError: INPUT_INVALID: (input)');
  });

  it.each(functions)('%s says that a job is not there, by its code first', async (_, create) => {
    const error = await failure(create(deps)(VALID, context));
    expect(error).toBeInstanceOf(PermanentError);
    expect(error).toMatchObject({ message: `ROTATION_NOT_FOUND: There is no job ${JOB}` });
  });

  it.each([
    ['round', 0],
    ['round', 1.5],
    ['segment', -1],
    ['queued', -1],
  ])('refuses a %s of %s', async (field, value) => {
    const error = await failure(STATE_FUNCTIONS.ListSegment(deps)({ ...VALID, [field]: value }, context));
    expect(String(error)).toBe(`PermanentError: INPUT_INVALID: ${field}`);
  });

  it('gives null for a step without a result, and passes on what a step gives', async () => {
    const nothing = step(jobInput, async () => undefined);
    expect(await nothing(deps)({ jobId: JOB }, context)).toBeNull();
    const something = step(jobInput, async (_, { jobId }, { getRemainingTimeInMillis }) => ({
      jobId,
      left: getRemainingTimeInMillis(),
    }));
    expect(await something(deps)({ jobId: JOB, more: 1 }, context)).toEqual({ jobId: JOB, left: 60_000 });
  });

  it('of the daily sweep takes any input', async () => {
    for (const event of [{}, null, { source: 'aws.scheduler' }])
      expect(await EVENT_FUNCTIONS.sweep(deps)(event, context)).toMatchObject({
        recovered: 0,
        purges: 0,
        failed: 0,
      });
  });
});

describe('an error of a step', () => {
  const retryable: readonly KeyturnError[] = [
    new LedgerError('LEDGER_UNAVAILABLE', 'throttled', { retryable: true }),
    new KeyError('KEY_UNAVAILABLE', 'outage', { retryable: true }),
    new RecordStoreError('STORE_OPEN_TRANSACTIONS', 'since noon', { retryable: true }),
    new RotationError('QUEUE_UNAVAILABLE', 'down', { retryable: true }),
    // Somebody else changed it: read again, whatever the error says of itself.
    new LedgerError('REVISION_CONFLICT', 'changed'),
  ];
  it.each(retryable.map((error) => [error.code, error] as const))(
    '%s may be tried again',
    async (code, error) => {
      const run = step(z.unknown(), async () => {
        throw error;
      });
      const thrown = await failure(run(deps)({}, context));
      expect(thrown).toBeInstanceOf(TransientError);
      expect(thrown).toMatchObject({
        name: 'TransientError',
        message: `${code}: ${error.message}`,
        cause: error,
      });
    },
  );

  it('of an item of a newer release is tried again for as long as a deployment may take', () => {
    const error = new UnreadableItemError(
      'An item of the ledger (key) has what this release does not know: x',
    );
    const translated = translate(error);
    expect(translated).toBeInstanceOf(TransientError);
    expect(translated).toMatchObject({
      name: 'UnreadableItem',
      message: `LEDGER_ITEM_INVALID: ${error.message}`,
    });
    // An item that is too large, for one, is so for good.
    expect(translate(new LedgerError('LEDGER_ITEM_INVALID', 'too large')).name).toBe('PermanentError');
  });

  const permanent: readonly KeyturnError[] = [
    new ProviderError('PROVIDER_DENIED', 'no'),
    new KeyError('VERSION_STATE', 'not now'),
    new RotationError('PURGE_REFUSED', 'grace'),
    new ConfigError('CONFIG_INVALID', 'bad'),
  ];
  it.each(permanent.map((error) => [error.code, error] as const))('%s is for good', (code, error) => {
    expect(translate(error)).toBeInstanceOf(PermanentError);
    expect(translate(error)).toMatchObject({ name: 'PermanentError', message: `${code}: ${error.message}` });
  });

  it.each([
    [new TypeError(`x is not a function ${SECRET}`), 'UNEXPECTED: TypeError'],
    [SECRET, 'UNEXPECTED: string'],
    [{ message: SECRET }, 'UNEXPECTED: object'],
    [undefined, 'UNEXPECTED: undefined'],
  ])('that nobody expected leaks nothing of itself', (error, message) => {
    const translated = translate(error);
    expect(translated).toBeInstanceOf(PermanentError);
    expect(translated.message).toBe(message);
  });

  it('is translated once', () => {
    for (const error of [new TransientError('a', null), new PermanentError('b', null)])
      expect(translate(error)).toBe(error);
  });
});
