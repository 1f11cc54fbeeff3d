import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { confirmWrapping, mayRewrap, replaceWrapping, restoreWrapping } from '../keyring/rewrapping.ts';
import type { RootKeyStatus, WrappedKek } from '../providers/root-key-provider.ts';
import { changeKey } from './change.ts';
import { contextOf, givesProvedKek } from './prove-wrapping.ts';
import type { RootKeyStatuses } from './root-key-states.ts';

/** KEKs whose root key was replaced or rotated are wrapped anew by the provider, and the new wrapping is proved by a later run. */

export interface RewrapCounts {
  /** Wrapped anew. */
  rewrapped: number;
  /** Former wrappings given up, because the new one was proved. */
  proved: number;
  /** Former wrappings that took their place again: the new one was wrong, or the tenant has its former root key again. */
  restored: number;
  /** Not wrapped anew, not proved, or wrong. */
  failed: number;
}

type RewrapDeps = Pick<Deps, 'ledger' | 'provider' | 'log'>;

/** One version that fails blocks no other. `prove`: whether this caller may unwrap KEKs. */
export async function rewrapKeks(
  deps: RewrapDeps,
  key: TenantKey,
  statuses: RootKeyStatuses,
  counts: RewrapCounts,
  prove: boolean,
): Promise<void> {
  for (const version of Object.values(key.versions)) {
    const { wrapped } = version;
    if (wrapped === null || version.provider !== deps.provider.name || !mayRewrap(version)) continue;
    if (statuses.get(wrapped.rootKeyId)?.state !== 'ENABLED') continue;
    if (prove && !(await settleFormer(deps, key, version, wrapped, counts))) continue;
    const target = statuses.get(deps.provider.rootKeyFor(key.tenant));
    if (target?.state !== 'ENABLED' || !isOutdated(wrapped, target)) continue;
    const fields = fieldsOf(key, version, target.rootKeyId);
    try {
      const after = await rewrapKek(deps, key, version.version, wrapped);
      if (after === null) continue;
      counts.rewrapped += 1;
      deps.log.info('KEK wrapped anew', {
        ...fields,
        formerRootKeyId: wrapped.rootKeyId,
        ...(after.materialId !== null && { materialId: after.materialId }),
        ...(wrapped.materialId !== null && { formerMaterialId: wrapped.materialId }),
      });
    } catch (error) {
      counts.failed += 1;
      deps.log.error('KEK not wrapped anew', { ...fields, code: codeOf(error) });
    }
  }
}

/**
 * Proves what an earlier run wrapped anew: the former wrapping goes, or it takes its place again. False: `wrapped` is not
 * proved. A provider that cannot say, or denies it, changes nothing: a denial may be a revocation by the key's policy,
 * which the former wrapping must not undo, and may concern this caller only.
 */
async function settleFormer(
  deps: RewrapDeps,
  key: TenantKey,
  version: KeyVersion,
  wrapped: WrappedKek,
  counts: RewrapCounts,
): Promise<boolean> {
  if (version.formerWrapped === null) return true;
  const fields = fieldsOf(key, version, wrapped.rootKeyId);
  try {
    const good = await givesProvedKek(deps, key, version, wrapped);
    await changeKey(deps, key.tenant, key.purpose, (current) =>
      good
        ? confirmWrapping(current, version.version, wrapped)
        : restoreWrapping(current, version.version, wrapped),
    );
    if (good) {
      counts.proved += 1;
      return true;
    }
    // Somebody has to look into it: the provider does not give back what it was given.
    counts.restored += 1;
    counts.failed += 1;
    deps.log.error(
      'a KEK that was wrapped anew is not the one that was proved: the former wrapping is back',
      {
        ...fields,
        code: 'KEY_CHECK_FAILED',
      },
    );
  } catch (error) {
    counts.failed += 1;
    deps.log.error('a KEK that was wrapped anew could not be proved: its former wrapping stays', {
      ...fields,
      code: codeOf(error),
    });
  }
  return false;
}

function fieldsOf({ tenant, purpose, keyId }: TenantKey, { version }: KeyVersion, rootKeyId: string) {
  return { tenant, purpose, keyId, version, rootKeyId };
}

function codeOf(error: unknown): string {
  return error instanceof KeyturnError ? error.code : 'UNEXPECTED';
}

/** Wrapped by another root key than the tenant's, or by other material than that one's current. */
function isOutdated(wrapped: WrappedKek, target: RootKeyStatus): boolean {
  if (wrapped.rootKeyId !== target.rootKeyId) return true;
  return target.materialId !== null && wrapped.materialId !== target.materialId;
}

/** The new wrapping; null: there is none that is newer, or somebody else was there first. */
async function rewrapKek(
  deps: RewrapDeps,
  key: TenantKey,
  version: number,
  before: WrappedKek,
): Promise<WrappedKek | null> {
  const after = await deps.provider.rewrapKek(before, contextOf(key, version));
  // The provider has not come to its new material everywhere yet: nothing would be gained, again and again.
  if (after.rootKeyId === before.rootKeyId && after.materialId === before.materialId) return null;
  let stored = false;
  await changeKey(deps, key.tenant, key.purpose, (current) => {
    const next = replaceWrapping(current, version, before, after);
    stored = next !== current;
    return next;
  });
  return stored ? after : null;
}
