import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { proveKek } from '../keyring/key-check.ts';
import type { KekContext, WrappedKek } from '../providers/root-key-provider.ts';

/** False when it does not give the KEK that the version was proved with. Throws when the provider cannot say. */
export async function givesProvedKek(
  { provider }: Pick<Deps, 'provider'>,
  key: TenantKey,
  { version, check }: KeyVersion,
  wrapped: WrappedKek,
): Promise<boolean> {
  try {
    proveKek(await provider.unwrapKek(wrapped, contextOf(key, version)), key.keyId, version, check);
    return true;
  } catch (error) {
    const wrong =
      error instanceof KeyturnError && (error.code === 'KEY_CHECK_FAILED' || error.code === 'UNWRAP_FAILED');
    if (!wrong) throw error;
    return false;
  }
}

export function contextOf({ tenant, purpose, keyId }: TenantKey, version: number): KekContext {
  return { tenant, purpose, keyId, version };
}
