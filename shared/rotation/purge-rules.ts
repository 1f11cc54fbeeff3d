import { whyNobodyCan } from '../approvals/request-approval.ts';
import type { Config } from '../config/schema.ts';
import { RotationError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { Refusal } from './call-off-purge.ts';
import { describeHolds, standingHolds } from './holds.ts';
import { describeTables, unreadTables } from './served.ts';

/** Why a purge may not begin: the code is what a job is blocked with that meets it. */
export interface PurgeObstacle extends Refusal {
  readonly remedy: string;
}

/** retry-rotation.ts has which blockers the daily sweep leaves to a person; docs/runbook.md says it of each. */
const UNLESS = 'unless its purge was called off or waits for a person: `keyturn status`.';

/** Throws PURGE_REFUSED unless the version is retired, its grace is over, and nothing has decided against its purge. */
export function checkPurgeable(key: TenantKey, version: number, now: number, config: Config): void {
  const obstacle = whyNotPurgeable(key, version, now, config);
  if (obstacle !== null)
    throw new RotationError('PURGE_REFUSED', obstacle.message, { remedy: obstacle.remedy });
}

/** Pure. Null: it may begin, or has begun. */
export function whyNotPurgeable(
  key: TenantKey,
  version: number,
  now: number,
  config: Config,
): PurgeObstacle | null {
  const found = versionOf(key, version);
  const name = `Version ${version} of ${key.tenant}/${key.purpose}`;
  if (found.state === 'DESTROY_PENDING' || found.state === 'DESTROYED') return null;
  if (found.state !== 'RETIRING') {
    return {
      code: 'KEY_CHANGED',
      message: `${name} is ${found.state}; only a RETIRING version is purged`,
      remedy:
        found.state === 'ACTIVE'
          ? 'Rotate the key first: `keyturn rotate`.'
          : found.suspended?.reason === 'ROOT_KEY'
            ? 'Its root key cannot be used: enable it, and it is RETIRING again by itself.'
            : '`keyturn keys show` has its state.',
    };
  }
  if (found.purgeNotBefore === null) {
    return {
      code: 'KEY_CHANGED',
      message: `${name} still has its rotation running, or it never completed`,
      remedy: '`keyturn status` shows the rotation; run `keyturn rotate` again to take it up.',
    };
  }
  // A grace that was made longer since counts too; one that was made shorter does not.
  const configured =
    Date.parse(found.seen?.cleanAt ?? found.retiringAt ?? found.purgeNotBefore) +
    config.rotation.graceSeconds * 1000;
  const due = Math.max(Date.parse(found.purgeNotBefore), configured);
  if (now < due) {
    return {
      code: 'HELD',
      message: `${name} is in its grace until ${new Date(due).toISOString()}`,
      remedy: `Wait: backups and queued messages may still need it. When grace is over the daily sweep purges it, ${UNLESS}`,
    };
  }
  const holds = standingHolds(key, version, now, config);
  if (holds.length > 0) {
    return {
      code: 'HELD',
      message: `${name} is held: ${describeHolds(holds)}`,
      remedy: `\`keyturn holds list\` shows what holds it. When nothing does any more the daily sweep purges it, ${UNLESS}`,
    };
  }
  const unread = unreadTables(key, config);
  if (unread.length === 0) return null;
  return {
    code: 'RECORD_SET_CHANGED',
    message: `${name} also served what no record set declares any more: ${describeTables(unread)}`,
    remedy:
      'Declare it again, or, when no envelope is left there, list it under `retired` in the configuration.',
  };
}

/** Throws where a purge would be asked for that people could never approve. */
export function checkApprovable(key: TenantKey, version: number, config: Config, requestedBy: string): void {
  if (versionOf(key, version).state !== 'RETIRING') return;
  const problem = whyNobodyCan(config, requestedBy);
  if (problem === null) return;
  const name = `Version ${version} of ${key.tenant}/${key.purpose}`;
  throw new RotationError('PURGE_REFUSED', `${name} cannot be purged. ${problem.message}`, {
    remedy: problem.remedy,
  });
}
