import type { ExclusionReason } from '../../shared/rotation/rotation.ts';

/** Why a census did not read something, in words. */
export const EXCLUSION_WORDS = {
  RIGHTS: 'the role may not read it',
  ROW_SECURITY: 'row-level security hides rows from the role',
  TYPE: 'of a type that may hold envelopes somewhere inside (JSON, arrays, XML)',
  FOREIGN: "a foreign table: its rows are another server's",
  TIME: 'the time of the search was over before',
  RETIRED: 'listed as retired: it holds no envelopes any more',
  NOT_DECLARED: 'the key served it once, and no record set declares it any more',
  DECLARED_SINCE: 'a record set that was declared while the count was under way',
  OTHER_KEY: 'a record set that the key cannot serve',
  OTHER_TENANTS: 'rows of other tenants',
  NOT_SEARCHED: 'columns that no record set declares were not looked for',
  OTHER_TABLES: 'tables of the account that no record set names',
  BACKUPS: 'backups, snapshots, replicas and logs are never read',
} as const satisfies Record<ExclusionReason, string>;

/** What a search for undeclared columns cannot see, whatever it read. */
export const SEARCH_LIMIT =
  'envelopes as text in another form than base64url, such as hex, and large objects: they are not recognized';
