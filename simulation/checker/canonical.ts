import { hash } from 'node:crypto';

/** Canonical JSON (RFC 8785): members in order of their names' UTF-16 code units, numbers and texts as ECMAScript writes them. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = value as Readonly<Record<string, unknown>>;
  let text = '';
  for (const name of Object.keys(members).sort()) {
    const member = members[name];
    if (member !== undefined)
      text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalText(member)}`;
  }
  return `{${text}}`;
}

/** SHA-256 of the canonical JSON, base64url. */
export function digestOf(value: unknown): string {
  return digestOfText(canonicalText(value));
}

export function digestOfText(text: string): string {
  return hash('sha256', text, 'base64url');
}
