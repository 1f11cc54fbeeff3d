import { valueName } from '../book.ts';
import { isGone, type Key, type Version } from '../items.ts';
import type { Row, Value } from '../records.ts';
import type { MakeRule } from '../rule.ts';
import { nameOf } from './values.ts';

/** No value, live or in a backup that may be restored, names a version when its KEK is erased. */
export const destruction: MakeRule = (book, find) => {
  function* valuesOn(
    rows: ReadonlyMap<string, Row>,
    { keyId }: Key,
    { version }: Version,
  ): Generator<Value, void, undefined> {
    for (const { values } of rows.values()) {
      for (const value of values) {
        const named = value.bytes === null ? null : book.opener.parse(value.bytes);
        if (named?.keyId === keyId && named.version === version) yield value;
      }
    }
  }

  /** What was damaged so that it names the version may have been so only since the version was counted. */
  function countedSince(key: Key, { version }: Version, value: Value): boolean {
    for (const { jobId, kind, keyId, from } of book.jobs.values()) {
      if (kind !== 'purge' || keyId !== key.keyId || from !== version) continue;
      return value.seq < (book.censusBegan.get(jobId)?.seq ?? 0);
    }
    return false;
  }

  function lookAt(key: Key, version: Version): void {
    const name = `version ${version.version} of ${key.tenant}/${key.purpose} is destroyed`;
    for (const value of valuesOn(book.records.live, key, version)) {
      const { recordSet, id, field } = value.place;
      if (book.quarantined.has(valueName(recordSet, id, field)))
        find('17', `${name}, which the quarantined ${nameOf(value)} names`);
      else if (value.expected !== 'excused') find('1', `${name}, which ${nameOf(value)} names`);
      else if (countedSince(key, version, value))
        find('1', `${name}, which ${nameOf(value)} names, damaged before it was counted`);
    }
    for (const [backupId, { rows }] of book.records.backups) {
      for (const value of valuesOn(rows, key, version))
        if (value.expected !== 'excused')
          find('1', `${name}, which ${nameOf(value)} in backup ${backupId} names`);
    }
  }

  return {
    key({ before, after }) {
      for (const version of after.versions.values()) {
        const was = before?.versions.get(version.version);
        if (was !== undefined && was !== version && isGone(version) && !isGone(was)) lookAt(after, version);
      }
    },
  };
};
