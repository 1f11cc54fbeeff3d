import { rotationRequestEventSchema } from '../../shared/bus/rotation-request.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { lambda, step } from '../lambda.ts';

export const create = step(rotationRequestEventSchema, async (deps, { detail }) => {
  const { answer, job } = await requestRotation(deps, {
    tenant: detail.tenant,
    purpose: detail.purpose,
    ...(detail.mode !== undefined && { mode: detail.mode }),
    requestedBy: detail.requestedBy,
  });
  return { answer, jobId: job.jobId };
});
export const needs = ['ledger', 'executions'] as const;
export const handler = lambda(create, needs);
