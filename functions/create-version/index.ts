import { createVersion } from '../../shared/rotation/create-version.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => createVersion(deps, jobId));
export const needs = ['ledger', 'provider:generate', 'provider:inspect'] as const;
export const handler = lambda(create, needs);
