/** Looks for many texts at a time (Rabin and Karp): what is too short to tell of anything is not looked for. */
export interface Search {
  finds(text: string): boolean;
}

const WINDOW = 8;
const BASE = 31;
const BITS = 16;

export function createSearch(wanted: readonly string[]): Search {
  const byHash = new Map<number, Set<string>>();
  const filter = new Uint8Array(1 << BITS);
  for (const text of wanted) {
    if (text.length < WINDOW) continue;
    const hash = hashOf(text);
    filter[hash >>> (32 - BITS)] = 1;
    const known = byHash.get(hash);
    if (known === undefined) byHash.set(hash, new Set([text]));
    else known.add(text);
  }
  /** BASE to the power of WINDOW. */
  let leaving = 1;
  for (let i = 0; i < WINDOW; i++) leaving = Math.imul(leaving, BASE);
  return {
    finds(text) {
      if (text.length < WINDOW) return false;
      let hash = hashOf(text);
      for (let at = 0; ; at++) {
        if (filter[hash >>> (32 - BITS)] === 1) {
          for (const one of byHash.get(hash) ?? []) if (text.startsWith(one, at)) return true;
        }
        if (at + WINDOW >= text.length) return false;
        const out = Math.imul(text.charCodeAt(at), leaving);
        hash = (Math.imul(hash, BASE) + text.charCodeAt(at + WINDOW) - out) >>> 0;
      }
    },
  };
}

/** Of the first characters. */
function hashOf(text: string): number {
  let hash = 0;
  for (let i = 0; i < WINDOW; i++) hash = (Math.imul(hash, BASE) + text.charCodeAt(i)) >>> 0;
  return hash;
}
