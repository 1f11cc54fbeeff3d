import { beginPurge } from '../../shared/rotation/begin-purge.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => beginPurge(deps, jobId));
export const needs = ['ledger', 'stores:read'] as const;
export const handler = lambda(create, needs);
