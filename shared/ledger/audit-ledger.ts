import { z } from 'zod';
import type { AuditEntry } from '../audit/entry.ts';
import { auditEntrySchema, auditEventShape } from '../audit/entry-schema.ts';
import {
  type Audited,
  type AuditStore,
  type ChainItem,
  type ExportMark,
  isPending,
  type LedgerStore,
  type OpenOutbox,
  type Outbox,
  type PendingEvent,
} from '../audit/outbox.ts';
import { type Item, marshalItem } from './attribute-values.ts';
import {
  auditPartition,
  CENSUS_PREFIX,
  CONDITIONS,
  censusList,
  ENTRY_PREFIX,
  type ItemKey,
  itemKeys,
  LIST_INDEX,
  LIST_KEY,
  LIST_ORDER,
  LISTS,
  MAC,
  OUTBOX,
  PARTITION_KEY,
  pad,
  SORT_KEY,
  STORED_WITH,
} from './attributes.ts';
import type { AuthenticatedTable } from './authentication/authenticated-table.ts';
import type { Authenticator } from './authentication/authenticator.ts';
import type { Guard } from './authentication/forgery.ts';
import { itemBytes } from './authentication/item-bytes.ts';
import { parseItem, type Readable } from './items.ts';
import type { Ledger } from './ledger.ts';
import { createOne, type Kind, readOne } from './stored-items.ts';
import type { Condition, TableClient } from './table-client.ts';

/** The audit's part of the table: a chain a tenant, the outboxes of all items, and how far each chain was exported. */

const text = z.string();
const count = z.int().min(0);
const position = z.int().min(1);
const pendingEvent = z.strictObject({
  tenant: text,
  ...auditEventShape,
  afterSequence: count,
}) satisfies z.ZodType<PendingEvent>;
const outboxSchema = z.union([
  pendingEvent,
  z.strictObject({ eventId: text, sequence: position }),
]) satisfies z.ZodType<Outbox>;

const ENTRY: Readable<AuditEntry> = {
  name: 'audit entry',
  schema: auditEntrySchema,
  storedWith: STORED_WITH.put,
};

/** What an item tells the audit, whatever it says besides. */
const OUTBOX_OF: Readable<{ readonly [OUTBOX]: Outbox }> = {
  name: 'outbox',
  schema: z.strictObject({ [OUTBOX]: outboxSchema }),
  storedWith: STORED_WITH.nothing,
};

/** Where an item of a list stands for as long as its outbox is open; of no such list, or of none: among the open outboxes. */
const WHILE_OPEN: ReadonlyMap<string, string> = new Map([
  [LISTS.keys, LISTS.keys],
  [LISTS.jobs, LISTS.jobs],
  [LISTS.endedJobs, LISTS.jobs],
  [LISTS.approvals, LISTS.untoldApprovals],
]);
const LISTS_WITH_OUTBOXES: ReadonlySet<string> = new Set([...WHILE_OPEN.values(), LISTS.openOutboxes]);

interface StoredEvent {
  readonly tenant: string;
  readonly eventId: string;
  readonly [OUTBOX]: Outbox;
}

const EVENT: Kind<StoredEvent> = {
  name: 'audit event',
  schema: z.strictObject({ tenant: text, eventId: text, [OUTBOX]: outboxSchema }),
  storedWith: STORED_WITH.event,
  keyOf: ({ tenant, eventId }) => itemKeys.auditEvent(tenant, eventId),
};

const MARK: Kind<ExportMark> = {
  name: 'export mark',
  schema: z.strictObject({
    tenant: text,
    sequence: count,
    planned: position.nullable(),
    revision: position,
  }),
  storedWith: STORED_WITH.listed,
  keyOf: ({ tenant }) => itemKeys.exportMark(tenant),
  listed: ({ tenant }) => ({ list: LISTS.exportMarks, order: `${tenant}#` }),
};

type Outboxes = Pick<LedgerStore, 'leaving' | 'readKey' | 'readJob' | 'readRestore'>;

/** `ledgerOn` makes the ledger that is to write outboxes, or whose reads are to show them, on a table of its own. */
export function createOutboxes<Table extends TableClient>(
  table: Table,
  ledgerOn: (table: Table) => Ledger,
): Outboxes {
  const read = async <T>(from: (ledger: Ledger) => Promise<T | null>): Promise<Audited<T> | null> => {
    let stored: Item | null = null;
    const seen: Table = {
      ...table,
      get: async (key: ItemKey) => {
        stored = await table.get(key);
        return stored;
      },
    };
    const item = await from(ledgerOn(seen));
    return item === null || stored === null ? null : { item, outbox: readOutbox(stored) };
  };
  return {
    leaving: (event) =>
      ledgerOn({
        ...table,
        put: (key: ItemKey, fields: object, condition?: Condition) =>
          table.put(key, withEvent(fields, event), condition),
      }),
    readKey: (tenant, purpose) => read((ledger) => ledger.getKey(tenant, purpose)),
    readJob: (jobId) => read((ledger) => ledger.getJob(jobId)),
    readRestore: (restoreId) => read((ledger) => ledger.getRestore(restoreId)),
  };
}

/** And keeps the item in a list where the export finds it for as long as the outbox is open. */
function withEvent(fields: object, event: PendingEvent): object {
  const { [LIST_KEY]: list, [LIST_ORDER]: order } = listed.parse(fields);
  return {
    ...fields,
    [OUTBOX]: event,
    [LIST_KEY]: WHILE_OPEN.get(list ?? '') ?? LISTS.openOutboxes,
    [LIST_ORDER]: order ?? `${event.at}#${event.eventId}`,
  };
}

const listed = z.object({ [LIST_KEY]: text.optional(), [LIST_ORDER]: text.optional() });

function readOutbox(item: Item): Outbox | null {
  const { [OUTBOX]: outbox } = item;
  return outbox === undefined ? null : parseItem(OUTBOX_OF, { [OUTBOX]: outbox })[OUTBOX];
}

/**
 * `chain`: what entries are read from as they stand, whoever wrote them: what is wrong in a chain is to be named. Each is
 * read with whether its MAC is genuine.
 */
export function createAuditLedger(
  table: AuthenticatedTable,
  chain: TableClient,
  authenticator: Authenticator,
  guard: Guard,
): AuditStore {
  const readChainItem = async (item: Item): Promise<ChainItem> => {
    // Where it stands is what its key says.
    const sequence = Number((item[SORT_KEY]?.S ?? '').slice(ENTRY_PREFIX.length));
    const genuine = await authenticator.verify(itemBytes(item), item[MAC]?.S ?? '');
    // For the alarm: who reads it decides what it means.
    if (!genuine) guard.forged(`Entry ${sequence} of an audit chain`);
    return { sequence, entry: readEntry(item, genuine), genuine };
  };
  return {
    createAuditEntry: async (entry) => {
      const key = itemKeys.auditEntry(entry.tenant, entry.sequence);
      return (await table.put(key, entry, { expression: CONDITIONS.notThere })) === 'written';
    },
    listAuditEntries: async (tenant, from, limit) => {
      const items = await chain.query(chainQuery(tenant, from, { limit }));
      return Promise.all(items.map(readChainItem));
    },
    lastAuditEntry: async (tenant) => {
      const [item] = await chain.query(chainQuery(tenant, 1, { limit: 1, newestFirst: true }));
      return item === undefined ? null : readChainItem(item);
    },
    createAuditEvent: async (pending) => {
      const { tenant, eventId } = pending;
      const stored = { tenant, eventId, [OUTBOX]: pending };
      const listed = { [LIST_KEY]: LISTS.openOutboxes, [LIST_ORDER]: `${pending.at}#${eventId}` };
      const { status, item } = await createOne(table, EVENT, stored, listed);
      return { status, item: item[OUTBOX] };
    },
    listOpenOutboxes: async () => {
      const lists = await Promise.all(
        [...LISTS_WITH_OUTBOXES].map((list) => table.list(listQuery(list), readOpenOutbox)),
      );
      return lists.flat(2);
    },
    closeOutbox: (outbox, sequence) => closeOutbox(table, outbox, sequence),
    getExportMark: (tenant) => readOne(table, MARK, itemKeys.exportMark(tenant)),
    listExportMarks: () => table.list(listQuery(LISTS.exportMarks), (item) => parseItem(MARK, item)),
    putExportMark: async (mark) => {
      const { list, order } = MARK.listed?.(mark) ?? {};
      const condition =
        mark.revision === 1
          ? { expression: CONDITIONS.notThere }
          : { expression: CONDITIONS.revisionIs, values: marshalItem({ ':previous': mark.revision - 1 }) };
      const fields = { ...mark, [LIST_KEY]: list, [LIST_ORDER]: order };
      return (await table.put(MARK.keyOf(mark), fields, condition)) === 'written';
    },
  };
}

function chainQuery(
  tenant: string,
  from: number,
  more: { readonly limit: number; readonly newestFirst?: boolean },
) {
  return {
    condition: '#pk = :pk AND #sk BETWEEN :first AND :last',
    names: { '#pk': PARTITION_KEY, '#sk': SORT_KEY },
    values: {
      ':pk': auditPartition(tenant),
      ':first': `${ENTRY_PREFIX}${pad(from)}`,
      ':last': `${ENTRY_PREFIX}~`,
    },
    ...more,
  };
}

function listQuery(list: string) {
  return {
    index: LIST_INDEX,
    condition: '#list = :list',
    names: { '#list': LIST_KEY },
    values: { ':list': list },
  };
}

/** null: it is none. A genuine one of a newer release is not passed over: nobody goes on with a chain that they cannot read. */
function readEntry(item: Item, genuine: boolean): AuditEntry | null {
  try {
    return parseItem(ENTRY, item);
  } catch (error) {
    if (genuine) throw error;
    return null;
  }
}

function readOpenOutbox(item: Item): OpenOutbox[] {
  const outbox = readOutbox(item);
  if (outbox === null || !isPending(outbox)) return [];
  const place: Place = {
    pk: item[PARTITION_KEY]?.S ?? '',
    sk: item[SORT_KEY]?.S ?? '',
    list: item[LIST_KEY]?.S ?? '',
    status: item['status']?.S ?? '',
    censusId: item['censusId']?.S ?? '',
  };
  return [{ place: JSON.stringify(place), event: outbox }];
}

interface Place extends ItemKey {
  readonly list: string;
  readonly status: string;
  /** Of a stored census. */
  readonly censusId: string;
}

const place = z.object({
  pk: text,
  sk: text,
  list: text,
  status: text,
  censusId: text,
}) satisfies z.ZodType<Place>;

async function closeOutbox(table: TableClient, outbox: OpenOutbox, sequence: number): Promise<void> {
  const { eventId } = outbox.event;
  const parsed = place.parse(JSON.parse(outbox.place));
  const { pk, sk, list } = parsed;
  const closed = { ':closed': { eventId, sequence }, ':eventId': eventId };
  const own = ownList(parsed);
  const expression =
    own !== null
      ? 'SET #outbox = :closed, #list = :list'
      : list === LISTS.openOutboxes
        ? 'SET #outbox = :closed REMOVE #list, #order'
        : 'SET #outbox = :closed';
  const values = own === null ? closed : { ...closed, ':list': own };
  await table.update({ pk, sk }, expression, {
    expression: CONDITIONS.outboxIs,
    values: marshalItem(values),
  });
}

/** The list that it was kept out of for its outbox only; null: it was not. Its event says its revision, so it is still what was listed. */
function ownList({ pk, list, status, censusId }: Place): string | null {
  // Where it is found by its id.
  if (pk.startsWith(CENSUS_PREFIX)) return censusList(censusId);
  if (list === LISTS.untoldApprovals) return LISTS.approvals;
  return list === LISTS.jobs && status === 'COMPLETED' ? LISTS.endedJobs : null;
}
