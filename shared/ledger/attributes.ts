import { createHash } from 'node:crypto';
import { LedgerError } from '../errors/errors.ts';

/** Every attribute, key and index name of the table, and how its keys are made. Nothing else spells them. */

export const PARTITION_KEY = 'pk';
export const SORT_KEY = 'sk';

/** Sparse: only keys and jobs have its attributes. Eventually consistent, so it serves lists for people only. */
export const LIST_INDEX = 'list';
export const LIST_KEY = 'list';
export const LIST_ORDER = 'order';

/** Partitions of the list index. */
export const LISTS = {
  keys: 'key',
  jobs: 'job',
  endedJobs: 'job-ended',
  approvals: 'approval',
  /** Requests for approval whose outbox is open: who looks for those reads none of the others, which only grow in number. */
  untoldApprovals: 'approval-untold',
  exportMarks: 'audit-export',
  /** Items that are in no list of their own, for as long as their outbox is open. */
  openOutboxes: 'outbox-open',
} as const;

/** Random, one a call of a create: it tells a create whose reply was lost from somebody else's item. */
export const WRITE_ID = 'writeId';

/** Authenticates an item: see authentication/. */
export const MAC = 'mac';

/** On a key: what was used of a version that waits for its destruction, as canonical JSON. See canary-text.ts. */
export const CANARY = 'canary';

/** On a page: its workers' reports, a string set, each with a MAC of its own. */
const REPORTS = 'reports';
/** On a page: the numbers of the chunks that were reported, a number set, for the condition of the next report. */
const DONE = 'done';

/** What a change tells the audit, until it is in the chain, and where it is there afterwards. See shared/audit/outbox.ts. */
export const OUTBOX = 'pendingAudit';

/** Authenticates what is in the outbox, which is emptied apart from the item. */
export const OUTBOX_MAC = 'pendingAuditMac';

/** Attributes that the MAC of an item does not cover, because others than its writer set them. */
export const WRITTEN_APART: ReadonlySet<string> = new Set([
  MAC,
  CANARY,
  REPORTS,
  DONE,
  OUTBOX,
  OUTBOX_MAC,
  LIST_KEY,
  LIST_ORDER,
]);

const PLACE = [PARTITION_KEY, SORT_KEY, MAC];
const LISTED = [LIST_KEY, LIST_ORDER];

/**
 * What an item may have beside what it says, by how its kind is written. Whatever else is there, a newer release wrote: see
 * items.ts.
 */
export const STORED_WITH = {
  /** Put as it is, also over itself. */
  put: new Set(PLACE),
  listed: new Set([...PLACE, ...LISTED]),
  created: new Set([...PLACE, WRITE_ID]),
  /** A page's plan, in which its progress is counted. */
  page: new Set([...PLACE, WRITE_ID, 'createdAt', REPORTS, DONE]),
  /** Each change leaves its event there, and for as long as that is open the item is in a list. */
  audited: new Set([...PLACE, WRITE_ID, ...LISTED, OUTBOX, OUTBOX_MAC]),
  /** An event that is no change of another item: its outbox is all that it says. */
  event: new Set([...PLACE, WRITE_ID, ...LISTED, OUTBOX_MAC]),
  /** Read by itself. */
  nothing: new Set<string>(),
} as const satisfies Readonly<Record<string, ReadonlySet<string>>>;

/** Attribute names in expressions, all by placeholder: DynamoDB reserves hundreds of words. */
export const NAMES = {
  '#pk': PARTITION_KEY,
  '#sk': SORT_KEY,
  '#revision': 'revision',
  '#mac': MAC,
  '#lowWater': 'lowWater',
  '#chunks': 'chunks',
  '#done': DONE,
  '#reports': REPORTS,
  '#canary': CANARY,
  '#outbox': OUTBOX,
  '#eventId': 'eventId',
  '#list': LIST_KEY,
  '#order': LIST_ORDER,
} as const;

export const CONDITIONS = {
  notThere: 'attribute_not_exists(#pk)',
  /** Or only what an application's mark makes where there is no key: IAM cannot have it ask whether there is one. */
  noKeyThere: 'attribute_not_exists(#revision) AND attribute_not_exists(#mac)',
  there: 'attribute_exists(#pk)',
  revisionIs: '#revision = :previous',
  canaryIs: '#canary = :canary',
  noCanary: 'attribute_not_exists(#canary)',
  /** Of a type that no application of Keyturn writes: they all say the same. Not every engine compares lists and maps. */
  canaryIsNoText:
    'attribute_exists(#canary) AND NOT attribute_type(#canary, :text) AND NOT attribute_type(#canary, :null)',
  /** The item tells the audit of this event still. */
  outboxIs: '#outbox.#eventId = :eventId',
  lowWaterIs: '#lowWater = :expected',
  notThereOrLowWaterIs: 'attribute_not_exists(#pk) OR #lowWater = :expected',
} as const;

/** The page is there, was planned with these chunks, and none of them was reported: values :highest, :chunk0 … */
export function noneReported(chunks: number): string {
  const none = Array.from({ length: chunks }, (_, i) => ` AND NOT contains(#done, :chunk${i})`);
  return `attribute_exists(#pk) AND size(#chunks) > :highest${none.join('')}`;
}

export const REPORT_CHUNKS = 'ADD #done :chunks, #reports :reports';

export const MARK_USED = 'SET #canary = :canary';
export const CLEAR_USED = 'SET #canary = :nothing';

/** Exactly the names that the expressions use: DynamoDB refuses a name that none of them mentions. */
export function namesIn(...expressions: readonly string[]): Record<string, string> {
  const text = expressions.join(' ');
  return Object.fromEntries(Object.entries(NAMES).filter(([name]) => new RegExp(`${name}\\b`).test(text)));
}

export interface ItemKey {
  readonly pk: string;
  readonly sk: string;
}

/** DynamoDB's limits on key attributes, in bytes of UTF-8. */
const PK_LIMIT = 2048;
const SK_LIMIT = 1024;

/** What the partition of every key begins with. */
export const KEY_PREFIX = 'KEY#';
export const RESTORE_PARTITION = 'RESTORE';

export const itemKeys = {
  state: (): ItemKey => ({ pk: 'STATE#KEY', sk: 'KEY' }),
  key: (tenant: string, purpose: string): ItemKey => ({
    pk: bounded(KEY_PREFIX, `${encode(tenant, 'tenant')}#${encode(purpose, 'purpose')}`, '', PK_LIMIT),
    sk: 'KEY',
  }),
  job: (jobId: string): ItemKey => ({ pk: jobPartition(jobId), sk: 'JOB' }),
  round: (jobId: string, round: number): ItemKey => ({ pk: jobPartition(jobId), sk: `ROUND#${pad(round)}` }),
  page: (jobId: string, round: number, segment: number, page: number): ItemKey => ({
    pk: jobPartition(jobId),
    sk: `${pagePrefix(round, segment)}${pad(page)}`,
  }),
  segment: (jobId: string, round: number, segment: number): ItemKey => ({
    pk: jobPartition(jobId),
    sk: `${segmentPrefix(round)}${pad(segment)}`,
  }),
  census: (jobId: string, census: string, segment: number): ItemKey => ({
    pk: jobPartition(jobId),
    sk: `${censusPrefix(census)}${pad(segment)}`,
  }),
  storedCensus: (keyId: string, takenAt: string, censusId: string): ItemKey => ({
    pk: storedCensusPartition(keyId),
    sk: `${takenAt}#${encode(censusId, 'censusId')}`,
  }),
  approvalRequest: (requestId: string): ItemKey => ({ pk: approvalPartition(requestId), sk: 'REQUEST' }),
  approvalVoid: (requestId: string): ItemKey => ({ pk: approvalPartition(requestId), sk: 'VOID' }),
  approval: (requestId: string, approver: string): ItemKey => ({
    pk: approvalPartition(requestId),
    sk: `${APPROVER_PREFIX}${encode(approver, 'approver')}`,
  }),
  auditEntry: (tenant: string, sequence: number): ItemKey => ({
    pk: auditPartition(tenant),
    sk: `${ENTRY_PREFIX}${pad(sequence)}`,
  }),
  auditEvent: (tenant: string, eventId: string): ItemKey => ({
    pk: bounded(EVENT_PREFIX, encode(tenant, 'tenant'), '', PK_LIMIT),
    sk: bounded('', encode(eventId, 'eventId'), '', SK_LIMIT),
  }),
  exportMark: (tenant: string): ItemKey => ({
    pk: bounded(EXPORT_PREFIX, encode(tenant, 'tenant'), '', PK_LIMIT),
    sk: 'MARK',
  }),
  restore: (restoreId: string): ItemKey => ({ pk: RESTORE_PARTITION, sk: encode(restoreId, 'restoreId') }),
  certificate: (keyId: string, version: number): ItemKey => ({
    pk: `CERTIFICATE#${encode(keyId, 'keyId')}`,
    sk: pad(version),
  }),
  quarantine: (keyId: string, recordSet: string, recordId: readonly string[], field: string): ItemKey => {
    const id = recordId.map((part) => encode(part, 'recordId')).join('/');
    return {
      pk: quarantinePartition(keyId),
      sk: bounded(`${encode(recordSet, 'recordSet')}#`, id, `#${encode(field, 'field')}`, SK_LIMIT),
    };
  },
};

export function jobPartition(jobId: string): string {
  return `JOB#${encode(jobId, 'jobId')}`;
}

export const APPROVER_PREFIX = 'APPROVER#';

export function approvalPartition(requestId: string): string {
  return `APPROVAL#${encode(requestId, 'requestId')}`;
}

/** What the partitions of the audit begin with: the chains, events of no other item, marks of the export. */
export const AUDIT_PREFIX = 'AUDIT#';
export const EVENT_PREFIX = 'EVENT#';
export const EXPORT_PREFIX = 'EXPORT#';
export const ENTRY_PREFIX = 'ENTRY#';

export function auditPartition(tenant: string): string {
  return bounded(AUDIT_PREFIX, encode(tenant, 'tenant'), '', PK_LIMIT);
}

export function quarantinePartition(keyId: string): string {
  return `QUARANTINE#${encode(keyId, 'keyId')}`;
}

export const CENSUS_PREFIX = 'CENSUS#';

export function storedCensusPartition(keyId: string): string {
  return `${CENSUS_PREFIX}${encode(keyId, 'keyId')}`;
}

/** A partition of the list index for each stored census: it is found by its id alone. */
export function censusList(censusId: string): string {
  return `census#${censusId}`;
}

export function segmentPrefix(round: number): string {
  return `SEGMENT#${pad(round)}#`;
}

export function censusPrefix(census: string): string {
  return `CENSUS#${encode(census, 'census')}#`;
}

/** First and last sort key of a segment's pages from number `from` on. */
export function pageRange(round: number, segment: number, from: number): readonly [string, string] {
  const prefix = pagePrefix(round, segment);
  return [`${prefix}${pad(from)}`, `${prefix}${'9'.repeat(DIGITS)}`];
}

function pagePrefix(round: number, segment: number): string {
  return `PAGE#${pad(round)}#${pad(segment)}#`;
}

const DIGITS = 10;

/** Fixed width, so that the order of the text is the order of the numbers. */
export function pad(value: number): string {
  return String(value).padStart(DIGITS, '0');
}

/** Percent-encoding leaves neither '#' nor '/' in a part, so that two different keys never read the same. */
function encode(part: string, name: string): string {
  if (!part.isWellFormed()) {
    throw new LedgerError('LEDGER_ITEM_INVALID', `${name} is not well-formed Unicode text`);
  }
  return encodeURIComponent(part);
}

/** A text too long for a key attribute stands in it as its hash; ':' never occurs in an encoded text. */
function bounded(prefix: string, encoded: string, suffix: string, limit: number): string {
  const whole = `${prefix}${encoded}${suffix}`;
  if (whole.length <= limit) return whole;
  return `${prefix}sha256:${createHash('sha256').update(encoded).digest('hex')}${suffix}`;
}
