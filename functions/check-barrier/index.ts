import { checkBarrier } from '../../shared/rotation/check-barrier.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => checkBarrier(deps, jobId));
export const needs = ['ledger', 'bus', 'stores:read'] as const;
export const handler = lambda(create, needs);
