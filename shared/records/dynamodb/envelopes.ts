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

/** What stands in a field that is not NULL. */
export type Content =
  | { readonly kind: 'envelope'; readonly keyId: string; readonly version: number }
  | { readonly kind: 'tombstone' }
  | { readonly kind: 'malformed' };

export function contentOf(value: Uint8Array): Content {
  try {
    const { keyId, version } = inspect(value);
    return { kind: 'envelope', keyId, version };
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    return { kind: error.code === 'RECORD_TOMBSTONED' ? 'tombstone' : 'malformed' };
  }
}

/** null: no envelope. */
export function namedVersion(value: Uint8Array): { readonly keyId: string; readonly version: number } | null {
  const content = contentOf(value);
  return content.kind === 'envelope' ? content : null;
}

/** It is the tenant's and has a field on another version, of another key, or that is neither envelope nor tombstone. */
export function isStale(shape: TableShape, item: Item, scope: Scope, active: number): boolean {
  if (tenantOf(shape, item) !== scope.tenant || scope.tenant === '') return false;
  return valuesOf(shape, item).some((value) => {
    if (value === null) return false;
    const content = contentOf(value);
    if (content.kind !== 'envelope') return content.kind === 'malformed';
    return content.keyId !== scope.keyId || content.version !== active;
  });
}
