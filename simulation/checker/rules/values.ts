import type { RecordEntry } from '../entries.ts';
import { parseTombstone } from '../envelope.ts';
import { isGone } from '../items.ts';
import { sameBytes } from '../parts.ts';
import type { Value } from '../records.ts';
import type { MakeRule } from '../rule.ts';

/**
 * Every value that is written opens to what its application committed last, and names a version that can be named. What is
 * not written does not change, so that this is all that can make a value unreadable but the destruction of its version.
 */
export const values: MakeRule = (book, find) => {
  /** Of the jobs of each key. */
  const modes = new Map<string, Set<string>>();

  function lookAt(value: Value, was: Value | undefined, { cause, by }: RecordEntry): void {
    const where = `${nameOf(value)}, written by ${by} (${cause}),`;
    const { bytes, expected, place } = value;
    if (bytes === null) {
      if (cause === 'pipeline' && was !== undefined && was.bytes !== null) find('2', `${where} is gone`);
      return;
    }
    if (expected === 'unexplained') {
      find('history', `${where} is of no known plaintext`);
      return;
    }
    if (cause === 'give-up' && parseTombstone(bytes) === null) find('2', `${where} is no tombstone`);
    if (expected === 'excused') {
      if (cause === 'pipeline') checkRewrap(value, was, where);
      return;
    }
    checkVersion(value, where);
    const opened = book.opener.open(bytes, place);
    if (expected === 'any' ? opened !== null : sameBytes(opened, expected)) {
      if (cause === 'pipeline') checkRewrap(value, was, where);
      return;
    }
    if (cause !== 'pipeline') find('2', `${where} does not open to what was committed`);
    else if (opened === null) find('14', `${where} does not open any more`);
    else find('10', `${where} opens to another plaintext than the application's last`);
  }

  function checkRewrap(value: Value, was: Value | undefined, where: string): void {
    const is = value.bytes === null ? null : book.opener.parse(value.bytes);
    const old = was === undefined || was.bytes === null ? null : book.opener.parse(was.bytes);
    if (is === null || old === null) return;
    const only = modes.get(is.keyId);
    if (only?.has('rewrap') === true && only.size === 1 && !sameBytes(is.body, old.body))
      find('11', `${where} has another ciphertext than before its rewrap`);
    if (is.keyId !== old.keyId) find('12', `${where} is of another key than before`);
    if (is.keyId !== old.keyId || is.version >= old.version) return;
    const list = book.activations.get(is.keyId) ?? [];
    const first = list.find(({ version }) => version === old.version);
    const back = list.some(({ version, seq }) => version === is.version && seq > (first?.seq ?? 0));
    if (!back)
      find('12', `${where} went from version ${old.version} back to ${is.version} without a rollback`);
  }

  function checkVersion({ bytes }: Value, where: string): void {
    const named = bytes === null ? null : book.opener.parse(bytes);
    if (named === null) return;
    const version = book.keys.get(named.keyId)?.versions.get(named.version);
    if (version === undefined) find('4', `${where} names version ${named.version}, which the ledger has not`);
    else if (isGone(version)) find('1', `${where} names version ${named.version}, which is destroyed`);
    else if (version.provedAt === null || version.state === 'PRE_ACTIVE')
      find('4', `${where} names version ${named.version}, which is not yet proved and activated`);
  }

  return {
    job({ after: { keyId, kind, mode } }) {
      if (kind !== 'rotate') return;
      const known = modes.get(keyId);
      if (known === undefined) modes.set(keyId, new Set([mode]));
      else known.add(mode);
    },
    record({ entry, row: { before, after, cause, by } }) {
      if (after === null) {
        if (before !== null && cause === 'pipeline')
          find('2', `${entry.recordSet} ${entry.id.join('/')} was deleted by ${by}`);
        return;
      }
      for (const [i, value] of after.values.entries()) {
        const was = before?.values[i];
        if (value !== was) lookAt(value, was, entry);
      }
    },
  };
};

export function nameOf({ place: { recordSet, id, field } }: Value): string {
  return `${recordSet} ${id.join('/')} ${field}`;
}
