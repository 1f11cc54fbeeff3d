import { describe, expect, it } from 'vitest';
import { parseMachine } from '../../../simulation/states-language/definition.ts';

/** What the interpreter does not know it refuses, so that no file comes to mean less here than in AWS. */

/** As the deployment finds it, to put the function's ARN there. */
const RESOURCE = `\${CheckBarrierFunctionArn}`;
const retry = { ErrorEquals: ['TransientError'], IntervalSeconds: 2, MaxAttempts: 8 };
const task = { Type: 'Task', Resource: RESOURCE, TimeoutSeconds: 900, Next: 'End' };
const map = {
  Type: 'Map',
  ItemsPath: '$.items',
  MaxConcurrency: 4,
  ItemProcessor: {
    ProcessorConfig: { Mode: 'INLINE' },
    StartAt: 'Inner',
    States: { Inner: { Type: 'Succeed' } },
  },
  Next: 'End',
};
const choice = {
  Type: 'Choice',
  Choices: [{ Variable: '$.done', BooleanEquals: true, Next: 'End' }],
  Default: 'End',
};
const wait = { Type: 'Wait', SecondsPath: '$.seconds', Next: 'End' };
const { Next: _, ...last } = task;
const { TimeoutSeconds: __, ...untimed } = task;

const machine = (state: object, more: object = {}) => ({
  StartAt: 'State',
  States: { State: state, End: { Type: 'Succeed' } },
  ...more,
});

describe('a definition', () => {
  it.each([
    ['a task', task],
    ['the last one', { ...last, End: true }],
    ['a retry', { ...task, Retry: [retry] }],
    ['a map', map],
    ['a choice', choice],
    ['a wait', wait],
    ['a literal failure', { Type: 'Fail', Error: 'Blocked', Cause: 'because' }],
  ])('is taken: %s', (_name, state) => {
    expect(parseMachine(machine(state)).states.size).toBe(2);
  });

  it.each([
    ['a pass', { Type: 'Pass', Next: 'End' }],
    ['a parallel', { Type: 'Parallel', Branches: [], Next: 'End' }],
    ['JSONata', { ...task, QueryLanguage: 'JSONata' }],
    ['InputPath', { ...task, InputPath: '$.x' }],
    ['OutputPath', { ...task, OutputPath: '$.x' }],
    ['ResultSelector', { ...task, ResultSelector: {} }],
    ['HeartbeatSeconds', { ...task, HeartbeatSeconds: 5 }],
    ['a service integration', { ...task, Resource: 'arn:aws:states:::lambda:invoke' }],
    ['a task token', { ...task, Resource: `${RESOURCE}.waitForTaskToken` }],
    ['no time limit', untimed],
    ['neither Next nor End', last],
    ['Next and End', { ...task, End: true }],
    ['a literal parameter', { ...task, Parameters: { jobId: 'x' } }],
    ['a nested parameter', { ...task, Parameters: { job: { 'id.$': '$.jobId' } } }],
    ['an intrinsic function', { ...task, Parameters: { 'id.$': 'States.UUID()' } }],
    ['the context object', { ...task, Parameters: { 'id.$': '$$.Execution.Id' } }],
    ['a path with a filter', { ...task, Parameters: { 'id.$': '$.jobs[0].id' } }],
    ['a deep result path', { ...task, ResultPath: '$.a.b' }],
    ['an unknown field of a retry', { ...task, Retry: [{ ...retry, Jitter: 'FULL' }] }],
    ['an unknown jitter', { ...task, Retry: [{ ...retry, JitterStrategy: 'HALF' }] }],
    ['a catch of the whole input', { ...task, Catch: [{ ErrorEquals: ['States.ALL'], Next: 'End' }] }],
    [
      'a catch to nowhere',
      { ...task, Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: null, Next: 'None' }] },
    ],
    [
      'a distributed map',
      { ...map, ItemProcessor: { ...map.ItemProcessor, ProcessorConfig: { Mode: 'DISTRIBUTED' } } },
    ],
    ['an item selector', { ...map, ItemSelector: {} }],
    ['tolerated failures', { ...map, ToleratedFailureCount: 1 }],
    ['more at once than AWS runs', { ...map, MaxConcurrency: 41 }],
    [
      'a map in a map',
      { ...map, ItemProcessor: { ...map.ItemProcessor, States: { Inner: { ...map, Next: 'Inner' } } } },
    ],
    [
      'an item that leaves its map',
      { ...map, ItemProcessor: { ...map.ItemProcessor, States: { Inner: task } } },
    ],
    ['no default', { Type: 'Choice', Choices: choice.Choices }],
    ['another comparison', { ...choice, Choices: [{ Variable: '$.n', NumericEquals: 1, Next: 'End' }] }],
    ['two comparisons', { ...choice, Choices: [{ ...choice.Choices[0], IsPresent: true }] }],
    ['a choice to nowhere', { ...choice, Default: 'None' }],
    ['a fixed wait', { Type: 'Wait', Seconds: 5, Next: 'End' }],
    ['a wait to nowhere', { ...wait, Next: 'None' }],
    ['a failure without a cause', { Type: 'Fail', Error: 'Blocked' }],
  ])('is refused: %s', (_name, state) => {
    expect(() => parseMachine(machine(state))).toThrow();
  });

  it.each([
    ['a time limit of its own', { TimeoutSeconds: 60 }],
    ['another query language', { QueryLanguage: 'JSONata' }],
    ['a start that is not there', { StartAt: 'None' }],
  ])('is refused as a whole: %s', (_name, more) => {
    expect(() => parseMachine(machine(task, more))).toThrow();
  });
});
