import { z } from 'zod';
import type { CanaryUse } from '../keyring/key.ts';
import { canonicalBytes } from '../signing/canonical-json.ts';

/**
 * How a key's canary stands in its item: as one text, which is compared as a whole. Applications write it, and no MAC
 * covers it: whatever is there and cannot be read counts as a use of which nothing is known.
 */

const canaryUse = z.object({
  version: z.int().min(0),
  at: z.iso.datetime(),
  recordSet: z.string().nullable(),
  recordId: z.array(z.string()).nullable(),
  field: z.string().nullable(),
}) satisfies z.ZodType<CanaryUse>;

/** Version 0: of which one cannot be told. */
const UNREADABLE: CanaryUse = {
  version: 0,
  at: new Date(0).toISOString(),
  recordSet: null,
  recordId: null,
  field: null,
};

export function canaryText(use: CanaryUse | null): string | null {
  return use === null ? null : Buffer.from(canonicalBytes(use)).toString();
}

/** `text`: the attribute's value; undefined where the attribute was taken away, which unsays nothing and tells nothing. */
export function readCanary(text: unknown): CanaryUse | null {
  if (text === null || text === undefined) return null;
  const parsed = canaryUse.safeParse(parseJson(text));
  return parsed.success ? parsed.data : UNREADABLE;
}

function parseJson(text: unknown): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}
