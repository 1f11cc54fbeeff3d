import { z } from 'zod';
import { sweepDaily } from '../../shared/rotation/sweep-daily.ts';
import { lambda, step } from '../lambda.ts';

/** Scheduled: takes no input. */
export const create = step(z.unknown(), (deps, _, context) =>
  sweepDaily(deps, () => context.getRemainingTimeInMillis()),
);
export const needs = [
  'ledger',
  'executions',
  'provider:inspect',
  'provider:rewrap',
  'provider:unwrap',
  'provider:destroy',
  'bus',
] as const;
export const handler = lambda(create, needs);
