import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { restoreWrapping } from '../keyring/rewrapping.ts';
import type { WrappedKek } from '../providers/root-key-provider.ts';
import { changeKey } from './change.ts';
import { givesProvedKek } from './prove-wrapping.ts';
import type { RewrapCounts } from './rewrap-keks.ts';
import type { RootKeyStatuses } from './root-key-states.ts';

/**
 * A tenant that was given another root key and then its former one again, before the new wrappings were proved. The
 * former wrappings take their place again without the other root key, which may be gone by now.
 *
 * Only when the configuration names the former root key for the tenant: a customer who disables the new one has revoked
 * it, and a wrapping under another root key must not get around that.
 */
export async function takeBackWrappings(
  deps: Pick<Deps, 'ledger' | 'provider' | 'log'>,
  key: TenantKey,
  statuses: RootKeyStatuses,
  counts: Pick<RewrapCounts, 'restored' | 'failed'>,
): Promise<void> {
  const target = deps.provider.rootKeyFor(key.tenant);
  if (statuses.get(target)?.state !== 'ENABLED') return;
  for (const version of Object.values(key.versions)) {
    const { wrapped, formerWrapped } = version;
    if (version.provider !== deps.provider.name || version.destroyAuthorizedAt !== null) continue;
    if (wrapped === null || wrapped.rootKeyId === target || formerWrapped?.rootKeyId !== target) continue;
    const { tenant, purpose, keyId } = key;
    const fields = { tenant, purpose, keyId, version: version.version, rootKeyId: target };
    try {
      if (await takeBack(deps, key, version, wrapped, formerWrapped)) {
        counts.restored += 1;
        deps.log.warn('the former wrapping of a KEK is back: so is the root key of its tenant', fields);
      } else {
        counts.failed += 1;
        const code = 'KEY_CHECK_FAILED';
        deps.log.error('the former wrapping of a KEK is not the one that was proved', { ...fields, code });
      }
    } catch (error) {
      counts.failed += 1;
      const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
      deps.log.error('the former wrapping of a KEK could not be taken back', { ...fields, code });
    }
  }
}

/** False when it does not give the KEK. Proved again first: from then on it is the only one. */
async function takeBack(
  deps: Pick<Deps, 'ledger' | 'provider'>,
  key: TenantKey,
  version: KeyVersion,
  wrapped: WrappedKek,
  former: WrappedKek,
): Promise<boolean> {
  if (!(await givesProvedKek(deps, key, version, former))) return false;
  await changeKey(deps, key.tenant, key.purpose, (current) =>
    restoreWrapping(current, version.version, wrapped),
  );
  return true;
}
