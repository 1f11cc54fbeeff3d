import { z } from 'zod';
import { concludeRound } from '../../shared/rotation/conclude-round.ts';
import { jobInput, lambda, step } from '../lambda.ts';

const input = jobInput.extend({ round: z.int().min(1) });

export const create = step(input, (deps, { jobId, round }) => concludeRound(deps, jobId, round));
export const needs = ['ledger', 'stores:read', 'bus'] as const;
export const handler = lambda(create, needs);
