import { z } from 'zod';
import { lambda, step } from '../lambda.ts';

export const create = step(z.unknown(), async () => undefined);
export const needs = ['ledger', 'executions', 'provider:inspect', 'provider:rewrap'] as const;
export const handler = lambda(create, needs);
