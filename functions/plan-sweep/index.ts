import { planSweep } from '../../shared/rotation/plan-sweep.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => planSweep(deps, jobId));
export const needs = ['ledger', 'stores:read'] as const;
export const handler = lambda(create, needs);
