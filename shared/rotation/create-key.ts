import type { Deps } from '../deps/deps.ts';
import { ConfigError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import { activateVersion, createTenantKey } from '../keyring/versions.ts';
import { STATE_CONTEXT } from '../ledger/authentication/state-context.ts';
import { changeKey, timestamp } from './change.ts';
import { proveStoredVersion } from './prove-version.ts';
import { registerServed } from './served.ts';

/**
 * Makes a tenant's key for a purpose with its first version, in the same order as a rotation: stored, read back
 * and proved, then activated. Repeating it, or racing with another maker, ends with one and the same key.
 */
export async function createKey(
  deps: Pick<Deps, 'ledger' | 'provider' | 'clock' | 'newId' | 'config' | 'recordSets'>,
  tenant: string,
  purpose: string,
): Promise<{ readonly key: TenantKey; readonly created: boolean }> {
  if (tenant === STATE_CONTEXT.tenant || purpose === STATE_CONTEXT.purpose) {
    throw new ConfigError(
      'CONFIG_INVALID',
      `"${tenant}" cannot have a key for "${purpose}": the name is Keyturn's own`,
    );
  }
  const existing = await deps.ledger.getKey(tenant, purpose);
  if (existing !== null && existing.active > 0) {
    return { key: await registerServed(deps, tenant, purpose), created: false };
  }
  const made = existing === null ? await makeKey(deps, tenant, purpose) : { key: existing, created: false };
  await proveStoredVersion(deps, tenant, purpose, 1);
  // Before the first version is active, and so before anything is sealed under it.
  await registerServed(deps, tenant, purpose);
  const key = await changeKey(deps, tenant, purpose, (current) =>
    activateVersion(current, 1, timestamp(deps.clock.now()), null),
  );
  return { key, created: made.created };
}

async function makeKey(
  deps: Pick<Deps, 'ledger' | 'provider' | 'clock' | 'newId'>,
  tenant: string,
  purpose: string,
): Promise<{ readonly key: TenantKey; readonly created: boolean }> {
  const keyId = deps.newId();
  const wrapped = await deps.provider.generateKek({ tenant, purpose, keyId, version: 1 });
  const result = await deps.ledger.createKey(
    createTenantKey(
      { keyId, tenant, purpose },
      { wrapped, provider: deps.provider.name, at: timestamp(deps.clock.now()) },
    ),
  );
  return { key: result.item, created: result.status === 'created' };
}
