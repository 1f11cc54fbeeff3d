import { z } from 'zod';
import { destroyVersion } from '../../shared/rotation/destroy-version.ts';
import { jobInput, lambda, step } from '../lambda.ts';

const input = jobInput.extend({ round: z.int().min(1) });

export const create = step(input, (deps, { jobId, round }) => destroyVersion(deps, jobId, round));
export const needs = [
  'ledger',
  'stores:read',
  'provider:destroy',
  'provider:inspect',
  'sign',
  'bus',
] as const;
export const handler = lambda(create, needs);
