import type { Deps } from '../../shared/deps/deps.ts';
import { KeyError } from '../../shared/errors/errors.ts';
import type { KeyVersion, TenantKey } from '../../shared/keyring/key.ts';
import { VERSION_STATES, type VersionState } from '../../shared/keyring/states.ts';
import { time } from './format.ts';
import type { Style } from './output.ts';

/** Keys and their versions in words and JSON; never their bytes, wrapped or not. */

export function versionsOf(key: TenantKey): readonly KeyVersion[] {
  return Object.values(key.versions).sort((a, b) => a.version - b.version);
}

/** `1 ACTIVE, 2 RETIRING` */
export function versionsByState(key: TenantKey): string {
  const states = versionsOf(key).map(({ state }) => state);
  return VERSION_STATES.flatMap((state) => {
    const found = states.filter((each) => each === state).length;
    return found === 0 ? [] : [`${found} ${state}`];
  }).join(', ');
}

export function ageOfActive(key: TenantKey, now: number): number | null {
  const since = key.versions[String(key.active)]?.activatedAt ?? null;
  return since === null ? null : Math.max(0, (now - Date.parse(since)) / 1000);
}

/** Why a version is suspended; null unless it is. */
export function suspensionWords({ version, suspended }: KeyVersion): string | null {
  if (suspended === null) return null;
  const since = `Version ${version} is suspended since ${time(suspended.at)}`;
  return suspended.reason === 'ROOT_KEY'
    ? `${since}: root key ${suspended.rootKeyId ?? '(unnamed)'} cannot be used. It is resumed by itself when it can.`
    : `${since}, by a person.`;
}

export const STATE_STYLES = {
  PRE_ACTIVE: 'cyan',
  ACTIVE: 'green',
  RETIRING: 'yellow',
  SUSPENDED: 'red',
  DESTROY_PENDING: 'red',
  COMPROMISED: 'red',
  DESTROYED: 'dim',
} as const satisfies Record<VersionState, Style>;

export function keyJson(key: TenantKey): object {
  const { tenant, purpose, keyId, active, rotationId, createdAt } = key;
  const versions = versionsOf(key).map(
    ({ wrapped: _wrapped, formerWrapped: _former, check: _check, ...shown }) => shown,
  );
  return { tenant, purpose, keyId, active, rotationId, createdAt, versions };
}

/** The keys of one tenant, or of all. Throws KEY_NOT_FOUND for a tenant that has none. */
export async function listKeysOf(
  deps: Pick<Deps, 'ledger'>,
  tenant: string | undefined,
): Promise<readonly TenantKey[]> {
  const keys = await deps.ledger.listKeys();
  if (tenant === undefined) return keys;
  const own = keys.filter((key) => key.tenant === tenant);
  if (own.length === 0) {
    throw new KeyError('KEY_NOT_FOUND', `Tenant "${tenant}" has no key`, {
      remedy: '`keyturn keys list` shows the keys; `keyturn keys create` makes one.',
    });
  }
  return own;
}
