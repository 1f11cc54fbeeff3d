import { z } from 'zod';
import { stopJob } from '../../shared/rotation/stop-job.ts';
import { jobInput, lambda, step } from '../lambda.ts';

/** What a Catch puts into the state. Step Functions gives a Lambda's error as JSON text in Cause. */
const input = jobInput.extend({ error: z.object({ Error: z.string(), Cause: z.string().default('') }) });
const lambdaCause = z.object({ errorMessage: z.string() });

export const create = step(input, (deps, { jobId, error }) =>
  stopJob(deps, jobId, error.Error, messageOf(error.Cause)),
);
export const needs = ['ledger', 'provider:inspect', 'bus'] as const;
export const handler = lambda(create, needs);

function messageOf(cause: string): string {
  try {
    return lambdaCause.parse(JSON.parse(cause)).errorMessage;
  } catch {
    return cause;
  }
}
