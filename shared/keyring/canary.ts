import type { CanaryUse, TenantKey } from './key.ts';

/**
 * The canary: a version that waits for its destruction was asked for, so something still needs it. Whoever asked was
 * served and marked the key; whoever looks at the key next calls the destruction off. Pure.
 */

/**
 * The versions whose destruction the canary calls off: all that wait, since a key keeps one mark, and a later one takes its
 * place. One that is decided has no way back.
 */
export function usedVersions(key: TenantKey): readonly number[] {
  if (key.canary === null) return [];
  return Object.values(key.versions)
    .filter(({ state, destroyAuthorizedAt }) => state === 'DESTROY_PENDING' && destroyAuthorizedAt === null)
    .map(({ version }) => version);
}

/** For people: which record, as far as whoever asked has said. */
export function describeUse({ version, at, recordSet, recordId, field }: CanaryUse): string {
  if (version === 0) return 'a mark that cannot be read was left';
  const used = `version ${version} was asked for at ${at}`;
  if (recordSet === null || recordId === null) return used;
  return `${used} for ${recordSet} ${recordId.join('/')}${field === null ? '' : `, field ${field}`}`;
}
