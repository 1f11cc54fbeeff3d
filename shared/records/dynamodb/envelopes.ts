import { inspect } from '../../envelope/index.ts';
import { EnvelopeError } from '../../errors/errors.ts';
import type { FieldValue, Scope } from '../record-store.ts';
import { fieldValue, type Item, tenantText } from './attributes.ts';
import type { TableShape } from './table.ts';

/** What an item's fields hold, by their envelopes. */

export function tenantOf({ tenant }: TableShape, item: Item): string {
  return 'fixed' in tenant ? tenant.fixed : tenantText(item[tenant.attribute]);
}

export function valuesOf({ fields }: TableShape, item: Item): FieldValue[] {
  return fields.map(({ attribute }) => fieldValue(item[attribute]));
}

/** null: no envelope. */
export function namedVersion(value: Uint8Array): { readonly keyId: string; readonly version: number } | null {
  try {
    return inspect(value);
  } catch (error) {
    if (error instanceof EnvelopeError) return null;
    throw error;
  }
}

/** It is the tenant's and has a field on another version, of another key, or that is no envelope. */
export function isStale(shape: TableShape, item: Item, scope: Scope, active: number): boolean {
  if (tenantOf(shape, item) !== scope.tenant || scope.tenant === '') return false;
  return valuesOf(shape, item).some((value) => {
    if (value === null) return false;
    const named = namedVersion(value);
    return named === null || named.keyId !== scope.keyId || named.version !== active;
  });
}
