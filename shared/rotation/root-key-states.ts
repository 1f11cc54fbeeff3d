import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import { cancelDestroy } from '../keyring/destruction.ts';
import type { KeyVersion, TenantKey, Timestamp } from '../keyring/key.ts';
import { resumeVersion, suspendVersion } from '../keyring/suspension.ts';
import type { RootKeyState, RootKeyStatus } from '../providers/root-key-provider.ts';

/** What the states of root keys mean for the versions of a key. */

/** By root key. Null, and absent: it could not be asked, or its store does not answer; then nothing is decided by it. */
export type RootKeyStatuses = ReadonlyMap<string, RootKeyStatus | null>;

/** Nothing wrapped by such a root key can be used now. Not UNAVAILABLE: an outage is waited out. */
const UNUSABLE: readonly RootKeyState[] = ['DISABLED', 'PENDING_DELETION', 'PENDING_IMPORT', 'NOT_FOUND'];

export function isUnusable(status: RootKeyStatus | null | undefined): boolean {
  return status !== null && status !== undefined && UNUSABLE.includes(status.state);
}

/** Calls of the provider at one time. */
const LANES = 8;

/** Asks for each root key once. One that cannot be asked blocks no other. */
export async function inspectRootKeys(
  deps: Pick<Deps, 'provider' | 'log'>,
  rootKeyIds: Iterable<string>,
): Promise<RootKeyStatuses> {
  const statuses = new Map<string, RootKeyStatus | null>();
  await inLanes(new Set(rootKeyIds), LANES, async (rootKeyId) => {
    try {
      const status = await deps.provider.inspectRootKey(rootKeyId);
      statuses.set(rootKeyId, status.state === 'UNAVAILABLE' ? null : status);
    } catch (error) {
      statuses.set(rootKeyId, null);
      const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
      deps.log.error('a root key could not be asked for', { rootKeyId, code });
    }
  });
  return statuses;
}

/** Every root key that the key needs: those of its versions, and the one that would wrap its next version. */
export function rootKeysOf(deps: Pick<Deps, 'provider'>, key: TenantKey): readonly string[] {
  const own = wrappedVersions(deps, key).map(({ rootKeyId }) => rootKeyId);
  return [...new Set([...own, deps.provider.rootKeyFor(key.tenant)])];
}

/** Those of wrappings that are kept until a newer one is proved. Nothing waits for them: they may be disabled on purpose. */
export function formerRootKeysOf(deps: Pick<Deps, 'provider'>, key: TenantKey): readonly string[] {
  return wrappedVersions(deps, key).flatMap(({ version }) => version.formerWrapped?.rootKeyId ?? []);
}

/** One that the key needs and that cannot be used; null: all can, or it is not known. */
export function unusableRootKey(
  deps: Pick<Deps, 'provider'>,
  key: TenantKey,
  statuses: RootKeyStatuses,
): string | null {
  return rootKeysOf(deps, key).find((rootKeyId) => isUnusable(statuses.get(rootKeyId))) ?? null;
}

export function allEnabled(deps: Pick<Deps, 'provider'>, key: TenantKey, statuses: RootKeyStatuses): boolean {
  return rootKeysOf(deps, key).every((rootKeyId) => statuses.get(rootKeyId)?.state === 'ENABLED');
}

/**
 * Pure. What a root key that cannot be used wrapped is suspended, and nothing of that key is destroyed meanwhile; what
 * was suspended for a root key is resumed when that can be used. An authorized destruction has no way back.
 */
export function settleVersions(
  deps: Pick<Deps, 'provider'>,
  key: TenantKey,
  statuses: RootKeyStatuses,
  at: Timestamp,
): TenantKey {
  const hold = unusableRootKey(deps, key, statuses) !== null;
  let next = key;
  for (const { rootKeyId, version } of wrappedVersions(deps, key)) {
    const number = version.version;
    if (hold && version.state === 'DESTROY_PENDING' && version.destroyAuthorizedAt === null) {
      next = cancelDestroy(next, number);
    }
    const state = next.versions[String(number)]?.state;
    const status = statuses.get(rootKeyId);
    if (isUnusable(status) && (state === 'ACTIVE' || state === 'RETIRING')) {
      next = suspendVersion(next, number, { reason: 'ROOT_KEY', rootKeyId, at });
    }
    if (status?.state === 'ENABLED' && version.suspended?.reason === 'ROOT_KEY' && state === 'SUSPENDED') {
      next = resumeVersion(next, number);
    }
  }
  // However many versions change, it is one write.
  return next === key ? key : { ...next, revision: key.revision + 1 };
}

/** The versions that this provider wrapped; another one's cannot be asked for here. */
export function wrappedVersions(
  { provider }: Pick<Deps, 'provider'>,
  key: TenantKey,
): readonly { readonly rootKeyId: string; readonly version: KeyVersion }[] {
  return Object.values(key.versions).flatMap((version) =>
    version.wrapped === null || version.provider !== provider.name
      ? []
      : [{ rootKeyId: version.wrapped.rootKeyId, version }],
  );
}
