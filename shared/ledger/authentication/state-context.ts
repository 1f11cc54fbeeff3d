import type { KekContext } from '../../providers/root-key-provider.ts';

/**
 * What the state key is bound to at its root key. No tenant and no purpose can have these names, so that no KEK of a tenant
 * can take its place, and no right to use those opens it.
 */
export const STATE_CONTEXT: KekContext = {
  tenant: ':keyturn',
  purpose: ':state',
  keyId: '018f0000-0000-7000-8000-000000000001',
  version: 1,
};
