import { hash } from 'node:crypto';

/** Canonical JSON (RFC 8785): members in order of their names' UTF-16 code units, numbers and texts as ECMAScript writes them. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalText(member)}`);
  return `{${members.join(',')}}`;
}

/** SHA-256 of the canonical JSON, base64url. */
export function digestOf(value: unknown): string {
  return digestOfText(canonicalText(value));
}

export function digestOfText(text: string): string {
  return hash('sha256', text, 'base64url');
}
