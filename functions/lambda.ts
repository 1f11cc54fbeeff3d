import { z } from 'zod';
import type { Deps } from '../shared/deps/deps.ts';
import type { Need } from '../shared/deps/needs.ts';
import { KeyturnError, UnreadableItemError } from '../shared/errors/errors.ts';
import type { More } from './powertools.ts';

/** The part of the Lambda context that is used. */
export interface InvocationContext {
  getRemainingTimeInMillis(): number;
}

export type Handler<Output> = (event: unknown, context: InvocationContext) => Promise<Output>;
/** Every function folder exports one of these as `create`; the embedded stack and Lambda both build from it. */
export type CreateHandler<Output> = (deps: Deps) => Handler<Output>;

/** What a state machine's Retry matches by name: the same call may succeed later. */
export class TransientError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'TransientError';
  }
}

/**
 * It met an item of a newer release, as happens while a deployment goes on: the state machines try it again for an hour,
 * until the function was replaced. Queues and events are tried again as with every failure.
 */
export class UnreadableItem extends TransientError {
  constructor(message: string, cause: unknown) {
    super(message, cause);
    this.name = 'UnreadableItem';
  }
}

/** Failed for good: the message begins with the stable code. Caught by the state machine, which stops the job. */
export class PermanentError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'PermanentError';
  }
}

/** The job rests, or was called off: the state machines end on it without a failure. */
export class JobPaused extends PermanentError {
  constructor(message: string, cause: unknown) {
    super(message, cause);
    this.name = 'JobPaused';
  }
}

/** A state's handler: parse, one domain call, result. */
export function step<Input, Output>(
  schema: z.ZodType<Input>,
  run: (deps: Deps, input: Input, context: InvocationContext) => Promise<Output>,
): CreateHandler<Output | null> {
  return (deps) => async (event, context) => {
    try {
      const parsed = schema.safeParse(event);
      if (!parsed.success) {
        const fields = parsed.error.issues
          .map((issue) => issue.path.map(String).join('.') || '(input)')
          .join(', ');
        throw new PermanentError(`INPUT_INVALID: ${fields}`, null);
      }
      // A state's output is JSON: a step without a result has the result null.
      return (await run(deps, parsed.data, context)) ?? null;
    } catch (error) {
      throw translate(error);
    }
  };
}

export function translate(error: unknown): Error {
  if (error instanceof TransientError || error instanceof PermanentError) return error;
  if (error instanceof KeyturnError) {
    const message = `${error.code}: ${error.message}`;
    if (error.code === 'JOB_PAUSED' || error.code === 'JOB_CANCELLED') return new JobPaused(message, error);
    if (error instanceof UnreadableItemError) return new UnreadableItem(message, error);
    // Somebody else changed the item in between: the repeated step reads it again.
    const retryable = error.retryable || error.code === 'REVISION_CONFLICT';
    return retryable ? new TransientError(message, error) : new PermanentError(message, error);
  }
  // A bug. Its text may hold anything, so only its kind leaves the function.
  const kind = error instanceof Error ? error.name : typeof error;
  return new PermanentError(`UNEXPECTED: ${kind}`, error);
}

/**
 * The handler that Lambda calls. What it runs on is loaded and made by need, so that to import a function, as the
 * embedded stack does, has no effect; in Lambda the modules are loaded before the first call, when there is more CPU.
 */
export function lambda<Output>(
  create: CreateHandler<Output>,
  needs: readonly Need[],
  more: More = {},
): Handler<Output> {
  let loading: Promise<Handler<Output>> | undefined;
  const load = () => {
    loading ??= import('./powertools.ts').then(({ runWithPowertools }) =>
      runWithPowertools(create, needs, more),
    );
    return loading;
  };
  if (process.env['AWS_LAMBDA_FUNCTION_NAME'] !== undefined) load().catch(() => undefined);
  return async (event, context) => (await load())(event, context);
}

export const jobInput = z.object({ jobId: z.uuid() });
export const segmentInput = jobInput.extend({ round: z.int().min(1), segment: z.int().min(0) });
