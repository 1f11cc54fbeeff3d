import { takeCensus } from '../../shared/rotation/take-census.ts';
import { lambda, segmentInput, step } from '../lambda.ts';

export const create = step(segmentInput, (deps, task) => takeCensus(deps, task));
export const needs = ['ledger', 'stores:read'] as const;
export const handler = lambda(create, needs);
