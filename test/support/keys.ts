import type { KeyVersion, TenantKey } from '../../shared/keyring/key.ts';
import type { VersionState } from '../../shared/keyring/states.ts';

/** A key with one version, as the ledger has it. `activatedAt` in milliseconds; null: none was activated yet. */
export function keyWith(of: {
  readonly keyId: string;
  readonly activatedAt: number | null;
  readonly tenant?: string;
  readonly state?: VersionState;
  readonly rootKeyId?: string;
}): TenantKey {
  const at = new Date(of.activatedAt ?? 0).toISOString();
  const version: KeyVersion = {
    version: 1,
    state: of.state ?? 'ACTIVE',
    wrapped: { rootKeyId: of.rootKeyId ?? 'root', materialId: null, wrapped: Uint8Array.of(1, 2, 3) },
    formerWrapped: null,
    suspended: null,
    provider: 'local',
    check: 'check',
    createdAt: at,
    provedAt: at,
    activatedAt: of.activatedAt === null ? null : at,
    retiringAt: null,
    purgeNotBefore: null,
    destroyPendingAt: null,
    destroyAuthorizedAt: null,
    destroyedAt: null,
    retiredBy: null,
    seen: null,
    erased: null,
    approvedBy: null,
    agreement: null,
  };
  return {
    keyId: of.keyId,
    tenant: of.tenant ?? 'acme',
    purpose: 'default',
    active: of.activatedAt === null ? 0 : 1,
    revision: 1,
    rotationId: null,
    restoreEpoch: 0,
    activations: of.activatedAt === null ? 0 : 1,
    canary: null,
    holds: [],
    createdAt: at,
    serves: [],
    versions: { '1': version },
  };
}
