import { z } from 'zod';
import { listSegment } from '../../shared/rotation/list-segment.ts';
import { lambda, segmentInput, step } from '../lambda.ts';

const input = segmentInput.extend({ queued: z.int().min(0).optional() });
/** Left of the function's time when it stops listing and hands its place to the next call. */
const RESERVE_MS = 20_000;

export const create = step(input, (deps, task, context) =>
  listSegment(deps, task, deps.clock.now() + context.getRemainingTimeInMillis() - RESERVE_MS),
);
export const needs = ['ledger', 'stores:read', 'queue'] as const;
export const handler = lambda(create, needs);
