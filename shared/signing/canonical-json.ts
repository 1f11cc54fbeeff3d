import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';

/** Canonical JSON (RFC 8785): the same bytes for the same value, on every machine and in every language. */
export function canonicalBytes(value: object): Uint8Array {
  return Buffer.from(canonicalText(value));
}

/** SHA-256 of the canonical JSON, base64url. */
export function digestOf(value: object): string {
  return hash('sha256', canonicalText(value), 'base64url');
}

function canonicalText(value: object): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('Not a JSON value');
  return text;
}
