import { activateVersion } from '../../shared/rotation/activate-version.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => activateVersion(deps, jobId));
export const needs = ['ledger', 'stores:read'] as const;
export const handler = lambda(create, needs);
