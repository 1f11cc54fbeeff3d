import type { WrappedKek } from '../providers/root-key-provider.ts';
import { changeVersion, versionOf } from './change-version.ts';
import type { KeyVersion, TenantKey } from './key.ts';
import type { VersionState } from './states.ts';

/**
 * A KEK that its provider wrapped anew, under another root key or newer material. Pure; a repeat returns the same object.
 *
 * Losing the only wrapping that works is losing every record on the version. So the last wrapping that was proved
 * stays in `formerWrapped` until the new one is proved as a new version is: read back from the ledger by a later step,
 * unwrapped, and found to give the version's key check. It does not stay longer, because whoever has the former root
 * key could open it: a customer who replaced or revoked a root key must not find it still in use.
 */

/**
 * Not PRE_ACTIVE: its first wrapping is being proved, and must not change in between. Not DESTROY_PENDING: what is
 * about to be erased gets no new wrapping.
 */
const REWRAPPABLE: readonly VersionState[] = ['ACTIVE', 'RETIRING', 'SUSPENDED', 'COMPROMISED'];

export function mayRewrap({ state, wrapped, check, provedAt }: KeyVersion): boolean {
  return wrapped !== null && check !== null && provedAt !== null && REWRAPPABLE.includes(state);
}

/** `before` gives way to `after`. Nothing changes when `before` is not there any more, or the version may not change. */
export function replaceWrapping(
  key: TenantKey,
  version: number,
  before: WrappedKek,
  after: WrappedKek,
): TenantKey {
  const found = versionOf(key, version);
  if (!mayRewrap(found) || !isSameWrapping(found.wrapped, before)) return key;
  if (isSameWrapping(before, after)) return key;
  // Twice before it was proved: the one that was proved stays.
  return changeVersion(key, version, { wrapped: after, formerWrapped: found.formerWrapped ?? before });
}

/** The wrapping was proved: the former one is given up. */
export function confirmWrapping(key: TenantKey, version: number, proved: WrappedKek): TenantKey {
  const found = versionOf(key, version);
  if (found.formerWrapped === null || !isSameWrapping(found.wrapped, proved)) return key;
  return changeVersion(key, version, { formerWrapped: null });
}

/** The wrapping does not give the KEK that was proved: the former one takes its place again. */
export function restoreWrapping(key: TenantKey, version: number, failed: WrappedKek): TenantKey {
  const found = versionOf(key, version);
  if (found.formerWrapped === null || !isSameWrapping(found.wrapped, failed)) return key;
  return changeVersion(key, version, { wrapped: found.formerWrapped, formerWrapped: null });
}

export function isSameWrapping(a: WrappedKek | null, b: WrappedKek | null): boolean {
  if (a === null || b === null) return a === b;
  const same = a.rootKeyId === b.rootKeyId && a.materialId === b.materialId;
  return same && Buffer.compare(a.wrapped, b.wrapped) === 0;
}
