import { createHash } from 'node:crypto';
import { pad } from '../ledger/attributes.ts';

/**
 * How things are called in the archive: `acme/0000000001-0000000120.jsonl` holds entries 1 to 120 of the tenant acme, and
 * `anchors/acme/0000000120.jws` the signed statement that the chain had come so far. The numbers have a fixed width: the
 * order of the names is the order of the chain.
 */

const ANCHORS = 'anchors/';

export function segmentPrefix(tenant: string): string {
  return `${folderOf(tenant)}/`;
}

export function anchorPrefix(tenant: string): string {
  return `${ANCHORS}${folderOf(tenant)}/`;
}

export function segmentName(tenant: string, first: number, last: number): string {
  return `${segmentPrefix(tenant)}${pad(first)}-${pad(last)}.jsonl`;
}

export function anchorName(tenant: string, sequence: number): string {
  return `${anchorPrefix(tenant)}${pad(sequence)}.jws`;
}

/** null: it is not called as a segment is. */
export function readSegmentName(name: string): { readonly first: number; readonly last: number } | null {
  const found = /\/(\d{10})-(\d{10})\.jsonl$/.exec(name);
  return found === null ? null : { first: Number(found[1]), last: Number(found[2]) };
}

export function isAnchorName(name: string): boolean {
  return name.startsWith(ANCHORS);
}

export function readAnchorName(name: string): number | null {
  const found = /\/(\d{10})\.jws$/.exec(name);
  return found === null ? null : Number(found[1]);
}

/** Longest that every file system takes, and the key of an object too with what stands around it. */
const LONGEST = 200;

/**
 * Percent-encoded, so that no name leaves its folder or means another one. No encoded text begins with "%s", and none is
 * "anchors": what would be is spelt with an escape.
 */
export function folderOf(tenant: string): string {
  const encoded = encodeURIComponent(tenant).replaceAll('.', '%2E').replaceAll('*', '%2A');
  if (encoded.length > LONGEST) return `%sha256-${createHash('sha256').update(tenant).digest('hex')}`;
  if (encoded === '') return '%service';
  return encoded === 'anchors' ? '%61nchors' : encoded;
}
