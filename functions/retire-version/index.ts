import { retireVersion } from '../../shared/rotation/retire-version.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => retireVersion(deps, jobId));
export const needs = ['ledger', 'bus'] as const;
export const handler = lambda(create, needs);
