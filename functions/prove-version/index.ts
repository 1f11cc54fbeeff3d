import { proveVersion } from '../../shared/rotation/prove-version.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => proveVersion(deps, jobId));
export const needs = ['ledger', 'provider:unwrap', 'provider:inspect'] as const;
export const handler = lambda(create, needs);
