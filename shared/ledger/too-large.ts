import { LedgerError } from '../errors/errors.ts';
import { type ItemKey, KEY_PREFIX } from './attributes.ts';
import { ITEM_LIMIT } from './item-size.ts';

interface KindOfItem {
  /** Of the partition and the sort key, as `partition / sort key`. */
  readonly begins: RegExp;
  readonly name: string;
  readonly remedy: string;
}

const FEWER_RECORD_SETS =
  'Its record sets are too many for one census: give some of them a purpose of their own.';

/** What a person can do about each. The first that fits. */
const KINDS: readonly KindOfItem[] = [
  {
    begins: new RegExp(`^${KEY_PREFIX}`),
    name: 'a key',
    remedy:
      'Release holds that are over (`keyturn holds list`), have old versions purged, and see KEY_FULL in docs/runbook.md.',
  },
  {
    begins: /^JOB#.* \/ ROUND#/,
    name: 'a sweep',
    remedy: 'Its segments are too many: lower rotation.segments.',
  },
  {
    begins: /^JOB#.* \/ PAGE#/,
    name: "a page of a sweep's chunks",
    remedy: "The keys of its records are too long: take shorter ones for the record set's key columns.",
  },
  { begins: /^JOB#.* \/ JOB$/, name: 'a job', remedy: FEWER_RECORD_SETS },
  { begins: /^JOB#.* \/ CENSUS#|^CENSUS#/, name: 'a census', remedy: FEWER_RECORD_SETS },
  { begins: /^APPROVAL#/, name: 'an approval', remedy: FEWER_RECORD_SETS },
  { begins: /^CERTIFICATE#/, name: 'a certificate', remedy: FEWER_RECORD_SETS },
];

const OTHER: Omit<KindOfItem, 'begins'> = {
  name: 'another kind',
  remedy: 'No setting makes it smaller: report it as a defect, with this message.',
};

/** Names the kind of item only: of a quarantined value the item's key has its record's id. */
export function tooLarge({ pk, sk }: ItemKey, size: number): LedgerError {
  const { name, remedy } = KINDS.find(({ begins }) => begins.test(`${pk} / ${sk}`)) ?? OTHER;
  return new LedgerError(
    'LEDGER_ITEM_INVALID',
    `An item of ${name} would have ${size} bytes in the ledger, more than DynamoDB's limit of ${ITEM_LIMIT}`,
    { remedy: `Nothing was written. ${remedy}` },
  );
}
