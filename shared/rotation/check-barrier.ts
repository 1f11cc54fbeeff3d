import type { Deps } from '../deps/deps.ts';
import { changeJob, getRunningJob, moveJob } from './change.ts';

/**
 * Step 5: no census before every writer's cache has expired. The end was fixed at the activation; a clock that
 * jumps back only makes this wait longer.
 */
export async function checkBarrier(
  deps: Deps,
  jobId: string,
): Promise<{ passed: boolean; waitSeconds: number }> {
  const job = await getRunningJob(deps, jobId);
  const left = job.barrierUntil === null ? 0 : Date.parse(job.barrierUntil) - deps.clock.now();
  if (left > 0) return { passed: false, waitSeconds: Math.ceil(left / 1000) };
  await changeJob(deps, jobId, (current) =>
    current.status === 'BARRIER' ? moveJob(current, 'CENSUS') : current,
  );
  return { passed: true, waitSeconds: 0 };
}
