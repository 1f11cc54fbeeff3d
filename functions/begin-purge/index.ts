import { beginPurge } from '../../shared/rotation/begin-purge.ts';
import { jobInput, lambda, step } from '../lambda.ts';

export const create = step(jobInput, (deps, { jobId }) => beginPurge(deps, jobId));
export const handler = lambda(create);
