import { isGone } from '../items.ts';
import type { MakeRule } from '../rule.ts';
import { nameOf } from './values.ts';

/**
 * Rows of a backup come back only while their restore is READY and holds every version that they name. A sweep that began
 * after its end frees them, and nothing else.
 */
export const restores: MakeRule = (book, find) => ({
  key({ before, after }) {
    for (const { holdId, reason, versions, endedEpoch } of before?.holds ?? []) {
      if (reason !== 'RESTORE' || after.holds.some((hold) => hold.holdId === holdId)) continue;
      if (book.restores.get(holdId)?.status.startsWith('ABORT') === true) continue;
      if (versions.every((version) => after.versions.get(version)?.state === 'DESTROYED')) continue;
      const sweep = book.jobs.get(before?.rotationId ?? '');
      if (endedEpoch === null || !((sweep?.restoreEpoch ?? Number.NaN) >= endedEpoch))
        find(
          '9',
          `restore ${holdId} holds ${after.tenant}/${after.purpose} no more, and no sweep since its end freed it`,
        );
    }
  },
  entry(entry) {
    if (entry.kind !== 'restored') return;
    const { restoreId, backupId } = entry;
    const restore = book.restores.get(restoreId);
    // Also of one that should be gone by now: it is refused for what it needs, not for its age.
    const backup = book.records.taken.get(backupId);
    if (backup === undefined) {
      find('9', `backup ${backupId} is restored, and is not there`);
      return;
    }
    if (restore?.status !== 'READY' || restore.store !== backup.store)
      find(
        '9',
        `backup ${backupId} is restored by ${restoreId}, which is ${restore?.status ?? 'not registered'}`,
      );
    const seen = new Set<string>();
    for (const { values } of backup.rows.values()) {
      for (const value of values) {
        const named = value.bytes === null ? null : book.opener.parse(value.bytes);
        if (named === null || value.expected === 'excused') continue;
        const name = `${named.keyId}/${named.version}`;
        if (seen.has(name)) continue;
        seen.add(name);
        const key = book.keys.get(named.keyId);
        const version = key?.versions.get(named.version);
        const held = key?.holds.some(
          ({ holdId, versions }) => holdId === restoreId && versions.includes(named.version),
        );
        if (version === undefined || isGone(version))
          find('9', `backup ${backupId} is restored, and ${nameOf(value)} names a version that is gone`);
        else if (held !== true)
          find(
            '9',
            `backup ${backupId} is restored, and restore ${restoreId} does not hold version ${named.version}`,
          );
      }
    }
  },
});
