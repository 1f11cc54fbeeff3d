import type { MakeRule } from '../rule.ts';
import { createSearch } from '../search.ts';

/** No plaintext and no key byte is in an audit entry, a job, or what is published: as text, hex, base64 or base64url. */
export const secrets: MakeRule = (_, find) => {
  /** Each text once, with the entry that it was first in. */
  const texts = new Map<string, number>();
  const seen = new WeakSet<object>();
  const secret = new Set<Uint8Array>();

  function collect(value: unknown, seq: number): void {
    if (typeof value === 'string') {
      if (!texts.has(value)) texts.set(value, seq);
      return;
    }
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    if (value instanceof Uint8Array) collect(Buffer.from(value).toString('hex'), seq);
    else for (const part of Object.values(value)) collect(part, seq);
  }

  return {
    job({ entry: { seq }, after }) {
      collect(after.whole, seq);
    },
    record({ entry: { plaintexts } }) {
      for (const plaintext of plaintexts ?? []) if (plaintext !== null) secret.add(plaintext);
    },
    entry(entry) {
      if (entry.kind === 'kek') secret.add(entry.kek);
      else if (entry.kind === 'published') collect(entry.event, entry.seq);
      else if (entry.kind === 'item' && entry.item === 'audit') collect(entry.value, entry.seq);
    },
    end() {
      const search = createSearch([...secret].flatMap(spellings));
      for (const [text, seq] of texts)
        if (search.finds(text)) find('26', `entry ${seq} of the history has a plaintext or key bytes in it`);
    },
  };
};

function spellings(bytes: Uint8Array): string[] {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  // What follows changes the last characters of base64, unless they are of three whole bytes.
  const even = whole.subarray(0, whole.length - (whole.length % 3));
  return [whole.toString('utf8'), whole.toString('hex'), even.toString('base64'), even.toString('base64url')];
}
