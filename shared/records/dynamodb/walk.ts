import { crc32 } from 'node:zlib';
import { RecordStoreError } from '../../errors/errors.ts';
import type { RecordKey, Scope } from '../record-store.ts';
import { type Item, keyItem, keyOf, nameOfKey, tenantValues } from './attributes.ts';
import type { Segment } from './cursor.ts';
import type { Page, Requests } from './requests.ts';
import type { TableShape } from './table.ts';

/** The ways through a segment's items, page by page, in DynamoDB's own order, which never changes for a key. */
export interface Walk {
  /** The items hold their fields; else their keys alone, as an index has them. */
  readonly whole: boolean;
  /** Reads at most `limit` items, and at most 1 MB, that come after a key. Filters may leave out any of them. */
  next(after: RecordKey | null, limit?: number): Promise<WalkPage>;
}

export interface WalkPage {
  readonly items: readonly Item[];
  /** Where to go on; null at the end. */
  readonly last: RecordKey | null;
}

export interface WalkOptions {
  readonly consistent: boolean;
  /** Only items of this tenant, if the way does not go through those alone. */
  readonly tenant?: string;
}

export function scanWalk(
  requests: Requests,
  { keys, projection, tenant }: TableShape,
  part: number,
  of: number,
  options: WalkOptions,
): Walk {
  if (options.tenant !== undefined && !mayOccur(tenant, options.tenant))
    return { whole: true, next: nothing };
  const filter =
    options.tenant === undefined || 'fixed' in tenant ? {} : onlyOf(tenant.place, options.tenant);
  return {
    whole: true,
    next: async (after, limit) =>
      walkPage(
        await requests.scan({
          ...projection,
          ...filter,
          ConsistentRead: options.consistent,
          ...(of > 1 ? { Segment: part, TotalSegments: of } : {}),
          ...start(after && keyItem(after, keys), limit),
        }),
        keys,
      ),
  };
}

/** The items of a tenant whose name is the table's partition key. */
export function partitionWalk(
  requests: Requests,
  shape: TableShape,
  scope: Pick<Scope, 'tenant'>,
  consistent: boolean,
): Walk {
  const { keys, projection, tenant } = shape;
  if ('fixed' in tenant || tenant.partition === undefined) throw otherSegment();
  const [value] = tenantValues(scope.tenant, tenant.partition);
  if (value === undefined) return { whole: true, next: nothing };
  return {
    whole: true,
    next: async (after, limit) =>
      walkPage(
        await requests.query({
          ...projection,
          KeyConditionExpression: `${tenant.place} = :t`,
          ExpressionAttributeValues: { ':t': value },
          ConsistentRead: consistent,
          ...start(after && keyItem(after, keys), limit),
        }),
        keys,
      ),
  };
}

/**
 * The keys of a tenant's items, as the index has them: eventually consistent. Several parts read the whole of it, each
 * taking its share of the keys by their hash: what is divided is the reading of the envelopes, which costs more.
 */
export function indexWalk(
  requests: Requests,
  shape: TableShape,
  scope: Pick<Scope, 'tenant'>,
  part: number,
  of: number,
): Walk {
  const { keys, keyProjection, tenant } = shape;
  if ('fixed' in tenant || tenant.index === undefined) throw otherSegment();
  const { attribute, index } = tenant;
  const [value] = tenantValues(scope.tenant, index.type);
  if (value === undefined) return { whole: false, next: nothing };
  return {
    whole: false,
    async next(after, limit) {
      const page = await requests.query({
        IndexName: index.name,
        ProjectionExpression: keyProjection.ProjectionExpression,
        ExpressionAttributeNames: { ...keyProjection.ExpressionAttributeNames, '#t': attribute },
        KeyConditionExpression: '#t = :t',
        ExpressionAttributeValues: { ':t': value },
        ...start(after && { ...keyItem(after, keys), [attribute]: value }, limit && limit * of),
      });
      const found = walkPage(page, keys);
      const items = found.items.filter(
        (item) => of === 1 || crc32(nameOfKey(keyOf(item, keys))) % of === part,
      );
      return { ...found, items };
    },
  };
}

export function listingWalk(
  requests: Requests,
  shape: TableShape,
  segment: Segment,
  scope: Pick<Scope, 'tenant'>,
  filtered: boolean,
): Walk {
  if (segment.kind === 'partition') return partitionWalk(requests, shape, scope, false);
  if (segment.kind === 'index') return indexWalk(requests, shape, scope, segment.part, segment.of);
  const options = { consistent: false, ...(filtered ? { tenant: scope.tenant } : {}) };
  return scanWalk(requests, shape, segment.part, segment.of, options);
}

function start(after: Item | null, limit: number | undefined) {
  return {
    ...(after === null ? {} : { ExclusiveStartKey: { ...after } }),
    ...(limit === undefined ? {} : { Limit: limit }),
  };
}

function walkPage({ items, last }: Page, keys: TableShape['keys']): WalkPage {
  return { items, last: last === undefined ? null : keyOf(last, keys) };
}

function mayOccur(source: TableShape['tenant'], tenant: string): boolean {
  return 'fixed' in source ? source.fixed === tenant : tenantValues(tenant).length > 0;
}

function onlyOf(place: string, tenant: string) {
  const values = Object.fromEntries(tenantValues(tenant).map((value, i) => [`:t${i}`, value]));
  return {
    FilterExpression: `${place} IN (${Object.keys(values).join(', ')})`,
    ExpressionAttributeValues: values,
  };
}

async function nothing(): Promise<WalkPage> {
  return { items: [], last: null };
}

/** The configuration has changed since the segment was cut. */
function otherSegment(): RecordStoreError {
  return new RecordStoreError(
    'RECORD_KEY_INVALID',
    'A segment is of another kind than this record set is listed by; the next round cuts new ones.',
  );
}
