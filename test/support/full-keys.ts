import type { Config } from '../../shared/config/schema.ts';
import type { KeyVersion, TenantKey } from '../../shared/keyring/key.ts';
import { hasRoomForVersion } from '../../shared/rotation/key-room.ts';

/** Keys with as many destroyed versions as fit, as purges leave them that people approved and KMS keys had wrapped. */

const AT = '2026-01-01T00:00:00.000Z';
export const ROOT_KEY = 'arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef';

/** Numbers that no test's own versions have. */
const FIRST = 100;

const DESTROYED: Omit<KeyVersion, 'version' | 'provider'> = {
  state: 'DESTROYED',
  wrapped: null,
  formerWrapped: null,
  suspended: null,
  check: 'c'.repeat(22),
  createdAt: AT,
  provedAt: AT,
  activatedAt: AT,
  retiringAt: AT,
  purgeNotBefore: AT,
  destroyPendingAt: AT,
  destroyAuthorizedAt: AT,
  destroyedAt: AT,
  retiredBy: 'r'.repeat(36),
  seen: null,
  erased: [{ rootKeyId: ROOT_KEY, materialId: 'm'.repeat(64) }],
  approvedBy: 'a'.repeat(43),
  agreement: { required: 2, approvers: ['alice', 'bob'] },
};

/** And `count` destroyed versions besides. */
export function withDestroyed(key: TenantKey, count: number): TenantKey {
  const versions: Record<string, KeyVersion> = { ...key.versions };
  for (let number = FIRST; number < FIRST + count; number++) {
    versions[number] = { ...DESTROYED, version: number, provider: 'aws-kms' };
  }
  return { ...key, versions };
}

/** The most destroyed versions with which the key can get one more. */
export function mostDestroyed(key: TenantKey, config: Pick<Config, 'approvals'>): number {
  let most = 0;
  for (let step = 1024; step >= 1; step /= 2)
    if (hasRoomForVersion(withDestroyed(key, most + step), config)) most += step;
  return most;
}
