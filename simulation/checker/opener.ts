import { createSecretKey, type KeyObject } from 'node:crypto';
import { decrypt, type Parsed, type Place, parseEnvelope } from './envelope.ts';

/** Opens envelopes, each once: the same bytes in the same place have the same plaintext for ever. */
export interface Opener {
  learn(keyId: string, version: number, kek: Uint8Array): void;
  /** null: not known. */
  kekOf(keyId: string, version: number): KeyObject | null;
  /** null: it is no envelope. */
  parse(bytes: Uint8Array): Parsed | null;
  /** null: it does not open there under the KEK that it names. */
  open(bytes: Uint8Array, place: Place): Uint8Array | null;
}

export function createOpener(): Opener {
  const keks = new Map<string, KeyObject>();
  const parsed = new Map<string, Parsed | null>();
  const opened = new Map<string, Uint8Array | null>();
  /** The same array is met again and again: its text is made once. */
  const names = new WeakMap<Uint8Array, string>();
  const nameOf = (bytes: Uint8Array): string => {
    const known = names.get(bytes);
    if (known !== undefined) return known;
    const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    names.set(bytes, name);
    return name;
  };
  const parse = (bytes: Uint8Array): Parsed | null => {
    const name = nameOf(bytes);
    const known = parsed.get(name);
    if (known !== undefined) return known;
    const found = parseEnvelope(bytes);
    parsed.set(name, found);
    return found;
  };
  return {
    learn: (keyId, version, kek) => {
      keks.set(`${keyId}/${version}`, createSecretKey(kek));
    },
    kekOf: (keyId, version) => keks.get(`${keyId}/${version}`) ?? null,
    parse,
    open(bytes, place) {
      const envelope = parse(bytes);
      if (envelope === null) return null;
      const kek = keks.get(`${envelope.keyId}/${envelope.version}`);
      // A later entry may tell of it.
      if (kek === undefined) return null;
      const name = `${JSON.stringify([place.tenant, place.recordSet, place.id, place.field])}${nameOf(bytes)}`;
      const known = opened.get(name);
      if (known !== undefined) return known;
      const plaintext = decrypt(envelope, kek, place);
      opened.set(name, plaintext);
      return plaintext;
    },
  };
}
