import { z } from 'zod';
import { monitor } from '../../shared/rotation/monitor.ts';
import { lambda, step } from '../lambda.ts';

/** Scheduled every 15 minutes: takes no input. */
export const create = step(z.unknown(), (deps) => monitor(deps));
export const needs = ['ledger', 'executions', 'bus'] as const;
export const handler = lambda(create, needs);
