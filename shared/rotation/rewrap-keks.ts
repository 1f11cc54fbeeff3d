import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { proveKek } from '../keyring/key-check.ts';
import { confirmWrapping, mayRewrap, replaceWrapping, restoreWrapping } from '../keyring/rewrapping.ts';
import type { RootKeyStatus, WrappedKek } from '../providers/root-key-provider.ts';
import { changeKey } from './change.ts';
import type { RootKeyStatuses } from './root-key-states.ts';

/** KEKs whose root key was replaced or rotated are wrapped anew by the provider, and the new wrapping is proved by a later run. */

export interface RewrapCounts {
  /** Wrapped anew. */
  rewrapped: number;
  /** Former wrappings given up, because the new one was proved. */
  proved: number;
  /** New wrappings that did not give the KEK back: the former one took their place again. */
  restored: number;
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
    const fields = {
      tenant: key.tenant,
      purpose: key.purpose,
      keyId: key.keyId,
      version: version.version,
      rootKeyId: wrapped.rootKeyId,
    };
    try {
      if (prove && version.formerWrapped !== null) {
        const good = await proveWrapping(deps, key, version, wrapped);
        if (good) counts.proved += 1;
        else {
          counts.restored += 1;
          deps.log.error(
            'a KEK that was wrapped anew is not the one that was proved: the former wrapping is back',
            {
              ...fields,
              code: 'KEY_CHECK_FAILED',
            },
          );
          continue;
        }
      }
      const target = statuses.get(deps.provider.rootKeyFor(key.tenant));
      if (target?.state !== 'ENABLED' || !isOutdated(wrapped, target)) continue;
      if (await rewrapKek(deps, key, version.version, wrapped)) {
        counts.rewrapped += 1;
        deps.log.info('KEK wrapped anew', { ...fields, rootKeyId: target.rootKeyId });
      }
    } catch (error) {
      counts.failed += 1;
      const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
      deps.log.error('KEK not wrapped anew', { ...fields, code });
    }
  }
}

/** Wrapped by another root key than the tenant's, or by other material than that one's current. */
function isOutdated(wrapped: WrappedKek, target: RootKeyStatus): boolean {
  if (wrapped.rootKeyId !== target.rootKeyId) return true;
  return target.materialId !== null && wrapped.materialId !== target.materialId;
}

async function rewrapKek(
  deps: RewrapDeps,
  key: TenantKey,
  version: number,
  before: WrappedKek,
): Promise<boolean> {
  const after = await deps.provider.rewrapKek(before, contextOf(key, version));
  // The provider has not come to its new material everywhere yet: nothing would be gained, again and again.
  if (after.rootKeyId === before.rootKeyId && after.materialId === before.materialId) return false;
  let stored = false;
  await changeKey(deps, key.tenant, key.purpose, (current) => {
    const next = replaceWrapping(current, version, before, after);
    stored = next !== current;
    return next;
  });
  return stored;
}

/** False when it does not give the KEK that the version was proved with. Throws when the provider cannot say. */
async function proveWrapping(
  deps: RewrapDeps,
  key: TenantKey,
  { version, check }: KeyVersion,
  wrapped: WrappedKek,
): Promise<boolean> {
  let good = true;
  try {
    proveKek(await deps.provider.unwrapKek(wrapped, contextOf(key, version)), key.keyId, version, check);
  } catch (error) {
    const wrong =
      error instanceof KeyturnError && (error.code === 'KEY_CHECK_FAILED' || error.code === 'UNWRAP_FAILED');
    if (!wrong) throw error;
    good = false;
  }
  await changeKey(deps, key.tenant, key.purpose, (current) =>
    good ? confirmWrapping(current, version, wrapped) : restoreWrapping(current, version, wrapped),
  );
  return good;
}

function contextOf({ tenant, purpose, keyId }: TenantKey, version: number) {
  return { tenant, purpose, keyId, version };
}
