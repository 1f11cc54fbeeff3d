import { z } from 'zod';
import type { CanaryUse } from '../keyring/key.ts';
import { canonicalBytes } from '../signing/canonical-json.ts';
import type { Item } from './attribute-values.ts';
import { CANARY } from './attributes.ts';

/**
 * How a key's canary stands in its item: as one text, which is compared as a whole. Applications write it, and no MAC
 * covers it: whatever is there, of whatever type, and cannot be read counts as a use of which nothing is known. What it says
 * besides is dropped, where an item would be refused: it is news of a use, which any release takes for one.
 */

/** Text that canonical JSON can hold: half a surrogate pair is none. */
const text = z.string().refine((value) => value.isWellFormed());

const canaryUse = z.object({
  version: z.int().min(0),
  at: z.iso.datetime(),
  recordSet: text.nullable(),
  recordId: z.array(text).nullable(),
  field: text.nullable(),
}) satisfies z.ZodType<CanaryUse>;

/** Version 0: of which one cannot be told. */
const UNREADABLE: CanaryUse = {
  version: 0,
  at: new Date(0).toISOString(),
  recordSet: null,
  recordId: null,
  field: null,
};

/** Bytes that are kept free for it in the key's item (shared/rotation/key-room.ts). Twice the longest key of a record. */
export const LONGEST_CANARY = 8192;

export function canaryText(use: CanaryUse | null): string | null {
  return use === null ? null : Buffer.from(canonicalBytes(use)).toString();
}

/** What an application writes. A record's id that is too long for it is left out: the version is what counts. */
export function markText(use: CanaryUse): string {
  const whole = canaryText(use);
  if (whole !== null && !isTooLong(whole)) return whole;
  return Buffer.from(canonicalBytes({ ...use, recordSet: null, recordId: null, field: null })).toString();
}

function isTooLong(text: string): boolean {
  return Buffer.byteLength(text) > LONGEST_CANARY;
}

/** `value`: the attribute's; undefined where the attribute was taken away, which unsays nothing and tells nothing. */
export function readCanary(value: unknown): CanaryUse | null {
  if (value === null || value === undefined) return null;
  if (typeof value !== 'string' || isTooLong(value)) return UNREADABLE;
  const parsed = canaryUse.safeParse(parseJson(value));
  return parsed.success ? parsed.data : UNREADABLE;
}

/** Before the item is read: a canary of a type that the ledger does not hold must not make a key unreadable. */
export function withReadableCanary(item: Item): Item {
  const canary = item[CANARY];
  if (canary === undefined || canary.S !== undefined || canary.NULL !== undefined) return item;
  return { ...item, [CANARY]: { S: '' } };
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
