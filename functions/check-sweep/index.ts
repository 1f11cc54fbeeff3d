import { z } from 'zod';
import { checkSweep } from '../../shared/rotation/check-sweep.ts';
import { jobInput, lambda, step } from '../lambda.ts';

const input = jobInput.extend({ round: z.int().min(1) });

export const create = step(input, (deps, { jobId, round }) => checkSweep(deps, jobId, round));
export const needs = ['ledger'] as const;
export const handler = lambda(create, needs);
