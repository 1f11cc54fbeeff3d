import { z } from 'zod';
import { pathSchema, resultPathSchema } from './paths.ts';

/**
 * The part of the Amazon States Language (https://states-language.net/spec.html, JSONPath) that state-machines/*.asl.json
 * are written in. Every other type of state and every other field is refused, so that the files cannot come to mean
 * something here that they do not mean in AWS. A definition is read once, into a form that is quick to run.
 */

const comment = z.string().optional();

const retrierSchema = z
  .strictObject({
    ErrorEquals: z.array(z.string()).min(1),
    IntervalSeconds: z.int().min(1).default(1),
    MaxAttempts: z.int().min(0).default(3),
    BackoffRate: z.number().min(1).default(2),
    MaxDelaySeconds: z.int().min(1).default(Number.POSITIVE_INFINITY),
    JitterStrategy: z.enum(['FULL', 'NONE']).default('NONE'),
  })
  .transform((retrier) => ({
    errorEquals: retrier.ErrorEquals,
    intervalSeconds: retrier.IntervalSeconds,
    maxAttempts: retrier.MaxAttempts,
    backoffRate: retrier.BackoffRate,
    maxDelaySeconds: retrier.MaxDelaySeconds,
    fullJitter: retrier.JitterStrategy === 'FULL',
  }));
export type Retrier = z.output<typeof retrierSchema>;

const catcherSchema = z
  .strictObject({
    ErrorEquals: z.array(z.string()).min(1),
    ResultPath: resultPathSchema,
    Next: z.string(),
  })
  .transform(({ ErrorEquals, ResultPath, Next }) => ({
    errorEquals: ErrorEquals,
    resultPath: ResultPath,
    next: Next,
  }));
export type Catcher = z.output<typeof catcherSchema>;

/** What a state that does something, and may fail, has. */
const working = {
  Comment: comment,
  ResultPath: resultPathSchema.optional(),
  Retry: z.array(retrierSchema).default([]),
  Catch: z.array(catcherSchema).default([]),
  Next: z.string().optional(),
  End: z.literal(true).optional(),
};

interface Working {
  readonly ResultPath?: string | null | undefined;
  readonly Retry: readonly Retrier[];
  readonly Catch: readonly Catcher[];
  readonly Next?: string | undefined;
  readonly End?: true | undefined;
}
const workOf = ({ ResultPath, Retry, Catch, Next }: Working) => ({
  resultPath: ResultPath,
  retry: Retry,
  catch: Catch,
  /** Null: it is the last one. */
  next: Next ?? null,
  /** Where it can go. */
  targets: [...Catch.map((catcher) => catcher.next), ...(Next === undefined ? [] : [Next])],
});
const goesOnOrEnds = ({ Next, End }: Working) => (Next === undefined) !== (End === undefined);

const taskSchema = z
  .strictObject({
    Type: z.literal('Task'),
    Resource: z.string().regex(/^\$\{\w+FunctionArn\}$/),
    /** AWS has a default, and aws-local-stepfunctions another one: so it is always said. */
    TimeoutSeconds: z.int().min(1),
    Parameters: z.record(z.string().endsWith('.$'), pathSchema).optional(),
    ...working,
  })
  .refine(goesOnOrEnds, 'either Next or End')
  .transform(({ Resource, TimeoutSeconds, Parameters, ...rest }) => ({
    type: 'Task' as const,
    ...workOf(rest),
    /** The name that the deployment has its function under: `CheckBarrier`. */
    resource: Resource.slice('${'.length, -'FunctionArn}'.length),
    timeoutSeconds: TimeoutSeconds,
    /** Field to path; null: the whole input. */
    parameters: Parameters
      ? Object.entries(Parameters).map(([field, path]) => [field.slice(0, -'.$'.length), path] as const)
      : null,
  }));
export type Task = z.output<typeof taskSchema>;

const waitSchema = z
  .strictObject({ Type: z.literal('Wait'), Comment: comment, SecondsPath: pathSchema, Next: z.string() })
  .transform(({ SecondsPath, Next }) => ({
    type: 'Wait' as const,
    secondsPath: SecondsPath,
    next: Next,
    targets: [Next],
  }));

const testSchema = z.union([
  z.strictObject({ Variable: pathSchema, BooleanEquals: z.boolean() }),
  z.strictObject({ Variable: pathSchema, StringEquals: z.string() }),
  z.strictObject({ Variable: pathSchema, IsPresent: z.boolean() }),
]);

const next = { Next: z.string() };
const ruleSchema = z
  .union([
    z.strictObject({ And: z.array(testSchema).min(1), ...next }),
    ...testSchema.options.map((test) => test.extend(next)),
  ])
  .transform((rule) => ({ all: 'And' in rule ? rule.And : [rule], next: rule.Next }));
export type Rule = z.output<typeof ruleSchema>;

const choiceSchema = z
  .strictObject({
    Type: z.literal('Choice'),
    Comment: comment,
    Choices: z.array(ruleSchema).min(1),
    /** Without it an input could match nothing. */
    Default: z.string(),
  })
  .transform(({ Choices, Default }) => ({
    type: 'Choice' as const,
    rules: Choices,
    otherwise: Default,
    targets: [...Choices.map((rule) => rule.next), Default],
  }));

const succeedSchema = z
  .strictObject({ Type: z.literal('Succeed'), Comment: comment })
  .transform(() => ({ type: 'Succeed' as const, targets: [] }));

const failSchema = z
  .union([
    z.strictObject({ Type: z.literal('Fail'), Comment: comment, Error: z.string(), Cause: z.string() }),
    z.strictObject({
      Type: z.literal('Fail'),
      Comment: comment,
      ErrorPath: pathSchema,
      CausePath: pathSchema,
    }),
  ])
  .transform((state) => ({
    type: 'Fail' as const,
    error: 'Error' in state ? state.Error : state.ErrorPath,
    cause: 'Error' in state ? state.Cause : state.CausePath,
    targets: [],
  }));

const simpleSchema = z.union([taskSchema, waitSchema, choiceSchema, succeedSchema, failSchema]);

const processorSchema = z
  .strictObject({
    ProcessorConfig: z.strictObject({ Mode: z.literal('INLINE') }),
    StartAt: z.string(),
    States: z.record(z.string(), simpleSchema),
  })
  .transform(({ StartAt, States }) => machineOf(StartAt, States));

const mapSchema = z
  .strictObject({
    Type: z.literal('Map'),
    ItemsPath: pathSchema,
    /** 40 is the most that AWS runs at once inline. D/step-functions/latest/dg/state-map-inline.html */
    MaxConcurrency: z.int().min(1).max(40),
    ItemProcessor: processorSchema,
    ...working,
  })
  .refine(goesOnOrEnds, 'either Next or End')
  .transform(({ ItemsPath, MaxConcurrency, ItemProcessor, ...rest }) => ({
    type: 'Map' as const,
    ...workOf(rest),
    itemsPath: ItemsPath,
    maxConcurrency: MaxConcurrency,
    processor: ItemProcessor,
  }));
export type MapState = z.output<typeof mapSchema>;

const machineSchema = z
  .strictObject({
    Comment: comment,
    StartAt: z.string(),
    States: z.record(z.string(), z.union([simpleSchema, mapSchema])),
  })
  .transform(({ StartAt, States }) => machineOf(StartAt, States));

export type State = z.output<typeof simpleSchema> | MapState;

/** What a Map runs for each item has no Map in it. */
export interface Machine<S = State> {
  readonly startAt: string;
  readonly states: ReadonlyMap<string, S>;
}

/** Throws where the definition has anything that is not known here, or goes to a state that is not there. */
export function parseMachine(definition: unknown): Machine {
  return machineSchema.parse(definition);
}

function machineOf<S extends { readonly targets: readonly string[] }>(
  startAt: string,
  states: Readonly<Record<string, S>>,
): Machine<S> {
  for (const name of [startAt, ...Object.values(states).flatMap(({ targets }) => targets)])
    if (!Object.hasOwn(states, name)) throw new Error(`There is no state ${name}`);
  return { startAt, states: new Map(Object.entries(states)) };
}
