import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createScheduler } from '../../../simulation/scheduler.ts';
import { parseMachine } from '../../../simulation/states-language/definition.ts';
import { run } from '../../../simulation/states-language/run.ts';

/** Where AWS says what happens, and the embedded engine does another thing, or the deployed machines do not show it. */

const work = { Type: 'Task', Resource: `\${WorkFunctionArn}`, TimeoutSeconds: 900 };
const all = (...names: readonly string[]) => ({ ErrorEquals: names });
const failure = (name: string) => Object.assign(new Error('no'), { name });

type Task = (input: unknown, call: number) => unknown;

function play(states: object, task: Task, input: unknown = {}) {
  const scheduler = createScheduler(0, setImmediate);
  const calls: { readonly at: number; readonly input: unknown }[] = [];
  const running = run(parseMachine({ StartAt: 'Work', States: states }), input, {
    after: scheduler.after,
    // The longest that chance allows.
    dice: { between: (_low, high) => high },
    task: async (_step, given) => {
      calls.push({ at: scheduler.now(), input: given });
      return task(given, calls.length);
    },
  });
  return {
    ...{ running, calls, scheduler },
    times: () => calls.map(({ at }) => at / 1000),
    async end() {
      await setImmediate();
      while (await scheduler.step(Number.POSITIVE_INFINITY));
      return Promise.race([running.ended, setImmediate('waits')]);
    },
  };
}

describe('Retry', () => {
  // The example of D/step-functions/latest/dg/concepts-error-handling.html, "Complex retry scenario".
  it('counts by retrier, and stops with the one that has none left', async () => {
    const errors = ['ErrorA', 'ErrorB', 'ErrorC', 'ErrorB', 'ErrorC'];
    const { end, times } = play(
      {
        Work: {
          ...work,
          End: true,
          Retry: [
            { ...all('ErrorA', 'ErrorB'), IntervalSeconds: 1, BackoffRate: 2, MaxAttempts: 2 },
            { ...all('ErrorC'), IntervalSeconds: 5 },
          ],
        },
      },
      (_, call) => {
        throw failure(errors[call - 1] ?? 'none');
      },
    );
    expect(await end()).toEqual({ status: 'FAILED', error: 'ErrorB', cause: 'no' });
    expect(times()).toEqual([0, 1, 3, 8]);
  });

  it('waits as long as the defaults say, and no longer than the limit', async () => {
    const fail: Task = () => {
      throw failure('Other');
    };
    const byDefault = play({ Work: { ...work, End: true, Retry: [all('States.ALL')] } }, fail);
    await byDefault.end();
    expect(byDefault.times()).toEqual([0, 1, 3, 7]);
    const retry = { ...all('States.ALL'), IntervalSeconds: 3, MaxDelaySeconds: 5, JitterStrategy: 'FULL' };
    const limited = play({ Work: { ...work, End: true, Retry: [retry] } }, fail);
    await limited.end();
    expect(limited.times()).toEqual([0, 3, 8, 13]);
  });

  // Its "Example 3: Retry all errors except States.Timeout".
  it('is decided by the first that names the error', async () => {
    const retry = [{ ...all('States.Timeout'), MaxAttempts: 0 }, all('States.ALL')];
    const { end, times } = play({ Work: { ...work, End: true, Retry: retry } }, () => {
      throw failure('States.Timeout');
    });
    await end();
    expect(times()).toEqual([0]);
  });

  it.each([
    ['States.TaskFailed', 'Other', 2],
    ['States.TaskFailed', 'States.Timeout', 1],
    ['States.ALL', 'States.Timeout', 2],
    ['States.ALL', 'States.Runtime', 1],
    ['States.ALL', 'States.DataLimitExceeded', 1],
    ['Other', 'other', 1],
  ])('of %s on %s: %i calls', async (name, error, calls) => {
    const retry = { ...all(name), MaxAttempts: 1 };
    const { end, times } = play({ Work: { ...work, End: true, Retry: [retry] } }, () => {
      throw failure(error);
    });
    expect(await end()).toMatchObject({ status: 'FAILED', error });
    expect(times()).toHaveLength(calls);
  });
});

describe('a step', () => {
  it('that gives no answer runs out of time, with no cause', async () => {
    const { end, scheduler } = play({ Work: { ...work, End: true } }, () => new Promise(() => {}));
    expect(await end()).toEqual({ status: 'FAILED', error: 'States.Timeout', cause: '' });
    expect(scheduler.now()).toBe(900_000);
  });

  it('whose late answer comes after that is not heard', async () => {
    const late = Promise.withResolvers<unknown>();
    const caught = [{ ...all('States.Timeout'), ResultPath: '$.error', Next: 'Rest' }];
    const { end, scheduler } = play(
      {
        Work: { ...work, Catch: caught, End: true },
        Rest: { Type: 'Wait', SecondsPath: '$.seconds', Next: 'Done' },
        Done: { Type: 'Succeed' },
      },
      () => late.promise,
      { seconds: 5 },
    );
    await scheduler.step(900_000);
    late.resolve('too late');
    const error = { Error: 'States.Timeout', Cause: '' };
    expect(await end()).toEqual({ status: 'SUCCEEDED', output: { seconds: 5, error } });
    expect(scheduler.now()).toBe(905_000);
  });

  it('whose input is not there fails the execution, whatever is caught', async () => {
    const { end, calls } = play(
      {
        Work: {
          ...work,
          Parameters: { 'id.$': '$.nothing' },
          Retry: [all('States.ALL')],
          Catch: [{ ...all('States.ALL'), ResultPath: null, Next: 'Done' }],
          Next: 'Done',
        },
        Done: { Type: 'Succeed' },
      },
      () => null,
    );
    expect(await end()).toMatchObject({ status: 'FAILED', error: 'States.Runtime' });
    expect(calls).toEqual([]);
  });

  it('has no place for its result in an input that is no object', async () => {
    const caught = [{ ...all('States.ResultPathMatchFailure'), ResultPath: null, Next: 'Done' }];
    const { end } = play(
      { Work: { ...work, ResultPath: '$.x', Catch: caught, End: true }, Done: { Type: 'Succeed' } },
      () => null,
      'text',
    );
    expect(await end()).toEqual({ status: 'SUCCEEDED', output: 'text' });
  });
});

describe('a Choice', () => {
  const states = (rule: object) => ({
    Work: { Type: 'Choice', Choices: [{ ...rule, Next: 'Yes' }], Default: 'No' },
    Yes: { Type: 'Fail', Error: 'Yes', Cause: '' },
    No: { Type: 'Fail', Error: 'No', Cause: '' },
  });
  it.each([
    [{ Variable: '$.a', IsPresent: true }, { a: null }, 'Yes'],
    [{ Variable: '$.a', IsPresent: true }, {}, 'No'],
    [{ Variable: '$.a', IsPresent: false }, {}, 'Yes'],
    [{ Variable: '$.a', BooleanEquals: true }, { a: 'true' }, 'No'],
    [{ Variable: '$.a.b', StringEquals: 'x' }, { a: { b: 'x' } }, 'Yes'],
    [{ Variable: '$.a', StringEquals: 'x' }, {}, 'States.Runtime'],
    [{ Variable: '$.toString', IsPresent: true }, {}, 'No'],
  ])('%o of %o: %s', async (rule, input, error) => {
    const { end } = play(states(rule), () => null, input);
    expect(await end()).toMatchObject({ status: 'FAILED', error });
  });
});

describe('a Wait', () => {
  it.each([-1, 1.5, '5', null])('of %o fails the execution', async (seconds) => {
    const { end } = play(
      { Work: { Type: 'Wait', SecondsPath: '$.seconds', Next: 'Done' }, Done: { Type: 'Succeed' } },
      () => null,
      { seconds },
    );
    expect(await end()).toMatchObject({ status: 'FAILED', error: 'States.Runtime' });
  });
});

describe('a Map', () => {
  const mapOf = (inner: object, more: object = {}) => ({
    Work: {
      Type: 'Map',
      ItemsPath: '$.items',
      MaxConcurrency: 2,
      ItemProcessor: { ProcessorConfig: { Mode: 'INLINE' }, StartAt: 'Item', States: { Item: inner } },
      End: true,
      ...more,
    },
    Done: { Type: 'Succeed' },
  });
  const items = [0, 1, 2, 3];

  it('runs so many items at once, and gives their results in order', async () => {
    let most = 0;
    let now = 0;
    const { running } = play(
      mapOf({ ...work, End: true }),
      async (item) => {
        most = Math.max(most, ++now);
        await setImmediate();
        now -= 1;
        return `${item}!`;
      },
      { items },
    );
    expect(await running.ended).toEqual({ status: 'SUCCEEDED', output: ['0!', '1!', '2!', '3!'] });
    expect(most).toBe(2);
  });

  it('that fails ends all its items: none is tried again, none begins, and none is heard', async () => {
    const held = Promise.withResolvers<unknown>();
    const { end, calls, scheduler } = play(
      mapOf(
        { ...work, Retry: [{ ...all('Again'), IntervalSeconds: 10 }], End: true },
        {
          MaxConcurrency: 3,
          Catch: [{ ...all('Permanent'), ResultPath: '$.error', Next: 'Done' }],
        },
      ),
      async (item) => {
        if (item === 0) throw failure('Again');
        if (item === 1) return held.promise;
        throw failure('Permanent');
      },
      { items },
    );
    expect(await end()).toEqual({
      status: 'SUCCEEDED',
      output: { items, error: { Error: 'Permanent', Cause: 'no' } },
    });
    held.reject(failure('Unheard'));
    await setImmediate();
    expect(calls.map(({ input }) => input)).toEqual([0, 1, 2]);
    // No alarm of theirs is left.
    expect(scheduler.now()).toBe(0);
  });

  it('of something that is no list fails the execution', async () => {
    const { end } = play(mapOf({ ...work, End: true }), () => null, { items: 'no' });
    expect(await end()).toMatchObject({ status: 'FAILED', error: 'States.Runtime' });
  });
});

describe('an execution that is stopped', () => {
  it.each(['calls', 'waits'])('while it %s: nothing of it happens any more', async (what) => {
    const held = Promise.withResolvers<unknown>();
    const { running, calls, scheduler } = play(
      {
        Work: { ...work, ResultPath: null, Next: 'Rest' },
        Rest: { Type: 'Wait', SecondsPath: '$.seconds', Next: 'Again' },
        Again: { ...work, End: true },
      },
      () => held.promise,
      { seconds: 60 },
    );
    if (what === 'waits') {
      held.resolve(null);
      await setImmediate();
    }
    running.stop();
    running.stop();
    held.resolve(null);
    await setImmediate();
    expect(await running.ended).toEqual({ status: 'ABORTED' });
    expect(await scheduler.step(Number.POSITIVE_INFINITY)).toBe(false);
    expect(calls).toHaveLength(1);
  });
});
