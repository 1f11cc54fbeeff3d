import { z } from 'zod';
import { exportChains } from '../../shared/audit/export-chains.ts';
import { openArchive } from '../../shared/audit/open-archive.ts';
import { lambda, step } from '../lambda.ts';

/** Scheduled hourly: takes no input. */
export const create = step(z.unknown(), (deps, _, context) =>
  exportChains(deps, () => context.getRemainingTimeInMillis()),
);
export const needs = ['ledger', 'archive', 'sign'] as const;
export const handler = lambda(create, needs, { openArchive });
