/** Which root key wraps for whom, and which ones may unwrap at all. ARNs throughout. */

export interface RootKeysConfig {
  /** Wraps the KEKs of every tenant that has no root key of its own. */
  readonly rootKey: string;
  readonly tenantRootKeys: Readonly<Record<string, string>>;
  /** Wrapped KEKs before, and still unwrap them. */
  readonly formerRootKeys: readonly string[];
}

export interface RootKeys {
  forTenant(tenant: string): string;
  /**
   * Whether the configuration names this root key. The ledger says which root key wrapped a KEK; were it believed,
   * whoever can write there could have KEKs unwrapped by a key of their own.
   */
  isConfigured(rootKeyId: string): boolean;
  /** The root keys that wrap new KEKs, each with one of its tenants; null: the tenants without one of their own. */
  readonly wrapping: ReadonlyMap<string, string | null>;
}

export function createRootKeys({ rootKey, tenantRootKeys, formerRootKeys }: RootKeysConfig): RootKeys {
  const wrapping = new Map<string, string | null>(
    Object.entries(tenantRootKeys).map(([tenant, key]) => [key, tenant]),
  );
  wrapping.set(rootKey, null);
  const configured = new Set([...wrapping.keys(), ...formerRootKeys]);
  return {
    // A tenant may be called "constructor": only what stands in the configuration counts.
    forTenant: (tenant) =>
      (Object.hasOwn(tenantRootKeys, tenant) ? tenantRootKeys[tenant] : undefined) ?? rootKey,
    isConfigured: (rootKeyId) => configured.has(rootKeyId),
    wrapping,
  };
}
