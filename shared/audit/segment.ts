import { canonicalBytes } from '../signing/canonical-json.ts';
import type { AuditEntry } from './entry.ts';
import { auditEntrySchema } from './entry-schema.ts';

/** A segment of a chain as it is archived: a line of canonical JSON (RFC 8785) an entry. The same entries, the same bytes. */

/** Entries in one segment, at most. */
export const SEGMENT_ENTRIES = 1000;

export function writeSegment(entries: readonly AuditEntry[]): Uint8Array {
  return Buffer.concat(entries.flatMap((entry) => [canonicalBytes(entry), Buffer.from('\n')]));
}

/** null for a line that is no entry. */
export function readSegment(bytes: Uint8Array): readonly (AuditEntry | null)[] {
  const lines = new TextDecoder().decode(bytes).split('\n');
  // What follows the last line's end.
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line) => {
    try {
      return auditEntrySchema.safeParse(JSON.parse(line)).data ?? null;
    } catch {
      return null;
    }
  });
}
