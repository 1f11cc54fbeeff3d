import { cancelDestroy } from './destruction.ts';
import type { CanaryUse, TenantKey } from './key.ts';

/**
 * The canary: a version that waits for its destruction was asked for, so something still needs it. Whoever asked was
 * served and marked the key; whoever looks at the key next calls the destruction off. Pure.
 */

/**
 * What was used since the version was fenced; null: nothing, or it does not wait for its destruction. A key keeps one
 * mark, and a later one takes its place: so a mark counts for every version that waits.
 */
export function canaryOf(key: TenantKey, version: number): CanaryUse | null {
  return key.versions[String(version)]?.state === 'DESTROY_PENDING' ? key.canary : null;
}

/** The versions whose destruction the canary calls off. One that is decided has no way back. */
export function usedVersions(key: TenantKey): readonly number[] {
  if (key.canary === null) return [];
  return Object.values(key.versions)
    .filter(({ state, destroyAuthorizedAt }) => state === 'DESTROY_PENDING' && destroyAuthorizedAt === null)
    .map(({ version }) => version);
}

/** Every version that waits goes back to RETIRING when something was used. The mark stays, for people to see. */
export function calledOff(key: TenantKey): TenantKey {
  let next = key;
  for (const version of usedVersions(key)) next = cancelDestroy(next, version);
  // However many versions change, it is one write.
  return next === key ? key : { ...next, revision: key.revision + 1 };
}

/** For people: which record, as far as whoever asked has said. */
export function describeUse({ version, at, recordSet, recordId, field }: CanaryUse): string {
  if (version === 0) return 'a mark that cannot be read was left';
  const used = `version ${version} was asked for at ${at}`;
  if (recordSet === null || recordId === null) return used;
  return `${used} for ${recordSet} ${recordId.join('/')}${field === null ? '' : `, field ${field}`}`;
}
