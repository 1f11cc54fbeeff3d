import { isDeepStrictEqual } from 'node:util';
import { LedgerError } from '../errors/errors.ts';
import { type Item, marshalItem } from './attribute-values.ts';
import { CONDITIONS, type ItemKey, LIST_INDEX, LIST_KEY, LIST_ORDER, WRITE_ID } from './attributes.ts';
import type { AuthenticatedTable } from './authentication/authenticated-table.ts';
import { parseItem, type Readable } from './items.ts';
import type { CreateResult, OnSkipped } from './ledger.ts';
import type { TableClient } from './table-client.ts';

/** How one kind of item is read and written: create-only, or replaced on condition of its revision. */

export interface Kind<T> extends Readable<T> {
  readonly keyOf: (value: T) => ItemKey;
  /** Its attributes; left out: the value's own members. */
  readonly fieldsOf?: (value: T) => object;
  /** On what condition it is created; left out: nothing stands in its place. */
  readonly notThere?: string;
  /** Its partition of the list index and its place there; absent: it is not listed. */
  readonly listed?: (value: T) => { readonly list: string; readonly order: string };
}

export async function readOne<T>(table: TableClient, kind: Kind<T>, key: ItemKey): Promise<T | null> {
  const item = await table.get(key);
  if (item === null) return null;
  const value = parseItem(kind, item);
  const own = kind.keyOf(value);
  // What an item says of itself is what is used: one that was put in another's place must not pass for it.
  if (own.pk !== key.pk || own.sk !== key.sk) {
    throw new LedgerError(
      'LEDGER_ITEM_INVALID',
      `A ${kind.name} of the ledger stands in another one's place`,
      {
        remedy: 'Somebody wrote the table by hand: restore it, and find out who.',
      },
    );
  }
  return value;
}

/** `more`: attributes besides, for the progress that is counted in the same item. */
export async function createOne<T extends object>(
  table: TableClient,
  kind: Kind<T>,
  value: T,
  more: object = {},
): Promise<CreateResult<T>> {
  const key = kind.keyOf(value);
  const writeId = table.newId();
  const fields = { ...storedFields(kind, value), ...more, [WRITE_ID]: writeId };
  const result = await table.put(key, fields, { expression: kind.notThere ?? CONDITIONS.notThere });
  if (result === 'written') return { status: 'created', item: value };
  const stored = await table.get(key);
  if (stored === null) {
    throw new LedgerError('LEDGER_UNAVAILABLE', `The ${kind.name} was deleted while it was read`, {
      retryable: true,
    });
  }
  // The client sends a request again when the reply was lost: then what stands there is this very call's item.
  const status = stored[WRITE_ID]?.S === writeId ? 'created' : 'exists';
  return { status, item: parseItem(kind, stored) };
}

/** Throws REVISION_CONFLICT unless the stored revision is the one before, or the stored item is this one already. */
export async function replaceOne<T extends { readonly revision: number }>(
  table: TableClient,
  kind: Kind<T>,
  value: T,
): Promise<void> {
  const key = kind.keyOf(value);
  const result = await table.put(key, storedFields(kind, value), {
    expression: CONDITIONS.revisionIs,
    values: marshalItem({ ':previous': value.revision - 1 }),
  });
  if (result === 'written') return;
  const stored = await table.get(key);
  if (stored !== null && isSame(kind, stored, value)) return;
  throw conflict(kind.name);
}

export function conflict(name: string): LedgerError {
  return new LedgerError('REVISION_CONFLICT', `The ${name} was changed by somebody else in between`, {
    remedy: 'Read it again and repeat the step',
    retryable: true,
  });
}

/** Whether the stored item says exactly what `value` says: a repeat of a write that was committed. */
export function isSame<T extends object>(kind: Kind<T>, stored: Item, value: T): boolean {
  const ours = parseItem(kind, marshalItem(storedFields(kind, value)));
  return isDeepStrictEqual(parseItem(kind, stored), ours);
}

/** One partition of the list index, newest first; eventually consistent. What cannot be verified is left out. */
export async function listAll<T>(
  table: AuthenticatedTable,
  kind: Kind<T>,
  list: string,
  onSkipped?: OnSkipped,
): Promise<readonly T[]> {
  const query = {
    index: LIST_INDEX,
    condition: '#list = :list',
    names: { '#list': LIST_KEY },
    values: { ':list': list },
    newestFirst: true,
  };
  return table.list(query, (item) => parseItem(kind, item), onSkipped);
}

/** Without the primary key. */
export function storedFields<T extends object>(kind: Kind<T>, value: T): object {
  return { ...(kind.fieldsOf?.(value) ?? value), ...indexed(kind, value) };
}

function indexed<T>(kind: Kind<T>, value: T): object {
  if (kind.listed === undefined) return {};
  const { list, order } = kind.listed(value);
  return { [LIST_KEY]: list, [LIST_ORDER]: order };
}
