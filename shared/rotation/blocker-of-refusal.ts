import type { Deps } from '../deps/deps.ts';
import type { RotationErrorCode } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { Refusal } from './call-off-purge.ts';
import { hasRoomForVersion, whyFull } from './key-room.ts';
import { whyNotPurgeable } from './purge-rules.ts';
import { whyNotRetiring } from './rollback-rules.ts';
import type { BlockerCode, Job, JobKind } from './rotation.ts';

/**
 * What a step was refused is no failure that a repeat could pass over: the job is blocked with a reason of its own, which
 * says what to do, and what the daily sweep may take up by itself.
 */

interface Refused {
  readonly kind: JobKind;
  /** Of the step's error. */
  readonly code: RotationErrorCode;
  readonly why: (key: TenantKey, job: Job, deps: Pick<Deps, 'clock' | 'config'>) => Refusal | null;
}

const REFUSED: readonly Refused[] = [
  {
    kind: 'purge',
    code: 'PURGE_REFUSED',
    why: (key, { from }, { clock, config }) => {
      const obstacle = whyNotPurgeable(key, from, clock.now(), config);
      return obstacle === null ? null : withRemedy(obstacle.code, obstacle);
    },
  },
  {
    kind: 'rotate',
    code: 'ROLLBACK_REFUSED',
    why: (key, { to }) => {
      const obstacle = whyNotRetiring(key, to);
      return obstacle === null ? null : withRemedy('VERSION_NOT_RETIRING', obstacle);
    },
  },
  { kind: 'rotate', code: 'ROTATION_STATE', why: whyOvertaken },
  {
    kind: 'rotate',
    code: 'KEY_FULL',
    why: (key, _job, { config }) =>
      hasRoomForVersion(key, config) ? null : withRemedy('KEY_FULL', whyFull(key)),
  },
];

/** Pure. `cause`: begins with the error's code. Null: the step was not refused, or what refused it has passed by now. */
export function blockerOfRefusal(
  deps: Pick<Deps, 'clock' | 'config'>,
  key: TenantKey,
  job: Job,
  cause: string,
): Refusal | null {
  const refused = REFUSED.find(({ kind, code }) => kind === job.kind && cause.startsWith(`${code}:`));
  return refused === undefined ? null : refused.why(key, job, deps);
}

/** A rotation that came to its key's lock too late. */
function whyOvertaken({ rotationId, active }: TenantKey, { jobId, startedAt, from }: Job): Refusal | null {
  if (startedAt !== null || rotationId === jobId) return null;
  if (rotationId !== null)
    return { code: 'KEY_CHANGED', message: `Rotation ${rotationId} took the key first` };
  if (active === from) return null;
  return {
    code: 'KEY_CHANGED',
    message: `Version ${active} is active by now, and not version ${from}, which it was to leave`,
  };
}

function withRemedy(code: BlockerCode, { message, remedy }: { message: string; remedy: string }): Refusal {
  return { code, message: `${message}. ${remedy}` };
}
