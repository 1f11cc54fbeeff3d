import { valueName } from '../book.ts';
import { readQuarantined } from '../items.ts';
import { sameBytes } from '../parts.ts';
import { rowName } from '../records.ts';
import type { MakeRule } from '../rule.ts';

/** What is quarantined could not be worked on, for a reason of its own; and it holds up nothing but the purge of its version. */

/** Reasons that pass, or that are the key's and not the value's. */
const NOT_OF_THE_VALUE = /^(PROVIDER_|ROOT_KEY_|KEYSTORE_|LEDGER_|STORE_|KEY_UNAVAILABLE|VERSION_STATE)/;

export const quarantine: MakeRule = (book, find) => {
  /** Values that once were damaged, and so may be found damaged by whoever had read them then. */
  const damaged = new Set<string>();
  return {
    record({ row: { after } }) {
      for (const { expected, place } of after?.values ?? [])
        if (expected === 'excused') damaged.add(valueName(place.recordSet, place.id, place.field));
    },
    entry(entry) {
      if (entry.kind !== 'item' || entry.item !== 'quarantined' || entry.value === null) return;
      const { recordSet, recordId, field, code } = readQuarantined(entry.value);
      const name = valueName(recordSet, recordId, field);
      if (NOT_OF_THE_VALUE.test(code)) find('22', `${name} is quarantined for ${code}`);
      if (damaged.has(name)) return;
      const fields = book.config.recordSets[recordSet]?.fields ?? [];
      const value = book.records.live.get(rowName(recordSet, recordId))?.values[fields.indexOf(field)];
      if (value === undefined || value.bytes === null || !(value.expected instanceof Uint8Array)) return;
      const opened = book.opener.open(value.bytes, value.place);
      if (sameBytes(opened, value.expected))
        find('17', `${name} is quarantined (${code}), and nothing is wrong with it`);
    },
    job({ before, after: { kind, jobId, status, blocker } }) {
      if (kind !== 'rotate' || status !== 'BLOCKED' || before?.status === 'BLOCKED') return;
      if (blocker === 'QUARANTINED_RECORDS' || blocker === 'MALFORMED_RECORDS')
        find('17', `rotation ${jobId} is blocked by what only blocks a purge: ${blocker}`);
    },
  };
};
