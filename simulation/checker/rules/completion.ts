import { valueName } from '../book.ts';
import type { Job } from '../items.ts';
import type { Value } from '../records.ts';
import type { MakeRule } from '../rule.ts';
import { nameOf } from './values.ts';

/** A rotation that is complete left nothing on an older version, but what is quarantined or was written after its count began. */
export const completion: MakeRule = (book, find) => {
  const activatedLast = (keyId: string, version: number): number =>
    book.activations.get(keyId)?.findLast((one) => one.version === version)?.seq ?? 0;

  function isLeft({ keyId, to, jobId }: Job, value: Value): boolean {
    const named = value.bytes === null ? null : book.opener.parse(value.bytes);
    if (named?.keyId !== keyId || named.version === to) return false;
    // Of a rotation that followed before this one's end was written down.
    if (activatedLast(keyId, named.version) > activatedLast(keyId, to)) return false;
    if (value.seq > (book.censusBegan.get(jobId)?.seq ?? 0)) return false;
    const { recordSet, id, field } = value.place;
    return value.expected !== 'excused' && !book.quarantined.has(valueName(recordSet, id, field));
  }

  return {
    job({ before, after }) {
      if (after.kind !== 'rotate' || after.status !== 'COMPLETED' || before?.status === 'COMPLETED') return;
      if (after.to === 0) return;
      for (const { values } of book.records.live.values()) {
        for (const value of values) {
          if (isLeft(after, value))
            find(
              '16',
              `rotation ${after.jobId} to version ${after.to} is complete, and ${nameOf(value)} is not on it`,
            );
        }
      }
    },
  };
};
