import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { z } from 'zod';
import type { Clock } from '../../clock/clock.ts';
import { systemClock, uniformRandom } from '../../clock/system.ts';
import { HEADER_PREFIX } from '../../envelope/layout.ts';
import type { ServedTable } from '../../keyring/key.ts';
import { decodeOpaque, encodeOpaque, notOurs } from '../opaque-text.ts';
import type { FoundColumn, SearchScope, StoreSearch, Unsearched } from '../store-search.ts';
import { fieldValue, type Item } from './attributes.ts';
import { contentOf } from './envelopes.ts';
import { createRequests, type Requests } from './requests.ts';
import type { Slots } from './slots.ts';

export interface DynamoDbSearchOptions {
  /** Name of the store. */
  readonly store: string;
  /** What the record sets of this store declare. Other tables of the account are not looked at. */
  readonly declared: readonly Pick<ServedTable, 'table' | 'columns'>[];
  readonly client: DynamoDBClient;
  /** Shared like the client. */
  readonly slots: Slots;
  readonly clock?: Clock;
  /** In [0, 1), for the jitter of waits. */
  readonly random?: () => number;
}

/** A part is for a function of its own only where there is so much to read. */
const PART_BYTES = 256 * 1024 * 1024;
/** Attributes that items have by names of their own are without number. */
const NAMES = 1_000;

const partSchema = z.object({ table: z.string(), part: z.int().min(0), of: z.int().min(1) });

/**
 * Looks into every attribute of every item of the declared tables, strongly consistent. DynamoDB bills a scan by the items'
 * size whatever it returns, so a search of a table costs as much as its census.
 */
export function createDynamoDbSearch(options: DynamoDbSearchOptions): StoreSearch {
  const { store, declared, client, slots, clock = systemClock, random = uniformRandom } = options;
  const tables = [...new Set(declared.map(({ table }) => table))].sort();
  const requestsOf = (table: string): Requests =>
    createRequests({ client, slots, clock, random, place: { recordSet: store, table, searched: true } });

  return {
    store,
    async parts(count) {
      const parts: string[] = [];
      for (const table of tables) {
        const { TableSizeBytes = 0 } = await requestsOf(table).describe();
        const of = Math.max(1, Math.min(Math.trunc(count), Math.ceil(TableSizeBytes / PART_BYTES)));
        for (let part = 0; part < of; part++) parts.push(encodeOpaque('s', { table, part, of }));
      }
      return parts;
    },

    async search(text, scope, deadline) {
      const { table, part, of } = parsePart(text);
      const known = new Set(declared.flatMap((each) => (each.table === table ? each.columns : [])));
      const tally = createTally(table, known, scope);
      const requests = requestsOf(table);
      let after: Item | undefined;
      do {
        if (clock.now() >= deadline) return tally.result([{ table, columns: [], reason: 'TIME' }]);
        const page = await requests.scan({
          ConsistentRead: true,
          ...(of > 1 ? { Segment: part, TotalSegments: of } : {}),
          ...(after === undefined ? {} : { ExclusiveStartKey: { ...after } }),
        });
        for (const item of page.items) tally.add(item);
        after = page.last;
      } while (after !== undefined);
      return tally.result([]);
    },
  };
}

/** Counts what stands in undeclared attributes. */
function createTally(table: string, known: ReadonlySet<string>, scope: SearchScope) {
  const found = new Map<string, FoundColumn>();
  const onVersion = new Map<string, number>(scope.version === 0 ? [] : [...known].map((name) => [name, 0]));
  const nested = new Set<string>();
  return {
    add(item: Item): void {
      for (const [attribute, value] of Object.entries(item)) {
        const counted = onVersion.get(attribute);
        if (counted !== undefined) onVersion.set(attribute, counted + (isOnVersion(value, scope) ? 1 : 0));
        if (known.has(attribute)) continue;
        if (mayHoldInside(value)) {
          if (nested.size < NAMES) nested.add(attribute);
          continue;
        }
        const bytes = value.B !== undefined || value.S !== undefined ? fieldValue(value) : null;
        if (bytes === null || !beginsAsEnvelope(bytes)) continue;
        // Of a table with too many names, what comes later is counted under none.
        const name = found.has(attribute) || found.size < NAMES ? attribute : '';
        const before = found.get(name) ?? {
          ...{ table, column: name, materialized: false, envelopes: 0, ofKey: 0, onVersion: 0 },
        };
        const content = contentOf(bytes);
        const mine = content.kind === 'envelope' && content.keyId === scope.keyId;
        found.set(name, {
          ...before,
          envelopes: before.envelopes + 1,
          ofKey: before.ofKey + (mine ? 1 : 0),
          onVersion: before.onVersion + (mine && content.version === scope.version ? 1 : 0),
        });
      }
    },
    result(late: readonly Unsearched[]) {
      const inside: Unsearched[] =
        nested.size === 0 ? [] : [{ table, columns: [...nested].sort(), reason: 'TYPE' }];
      // Without one snapshot, it is a second look at another moment: a table that was not read to its end is not counted so.
      const declared = late.length > 0 ? [] : [...onVersion];
      return {
        found: [...found.values()],
        declared: declared.map(([column, values]) => ({ table, column, onVersion: values })),
        unsearched: [...late, ...inside],
      };
    },
  };
}

function isOnVersion(value: AttributeValue, { keyId, version }: SearchScope): boolean {
  const bytes = fieldValue(value);
  if (bytes === null) return false;
  const content = contentOf(bytes);
  return content.kind === 'envelope' && content.keyId === keyId && content.version === version;
}

/** A list, map or set: what is inside is not looked into. Numbers hold no envelope. */
function mayHoldInside({ L, M, SS, BS }: AttributeValue): boolean {
  return L !== undefined || M !== undefined || SS !== undefined || BS !== undefined;
}

function beginsAsEnvelope(bytes: Uint8Array): boolean {
  return HEADER_PREFIX.every((byte, i) => bytes[i] === byte);
}

function parsePart(text: string): z.output<typeof partSchema> {
  const parsed = partSchema.safeParse(decodeOpaque('s', text));
  if (!parsed.success) throw notOurs('A part of a search');
  return parsed.data;
}
