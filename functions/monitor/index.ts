import { z } from 'zod';
import { lambda, step } from '../lambda.ts';

export const create = step(z.unknown(), async () => undefined);
export const needs = ['ledger'] as const;
export const handler = lambda(create, needs);
