/** Reads parts of values of which nothing is known. What is not there, or of another type, reads as `none` says. */

export type Parts = Readonly<Record<string, unknown>>;

const NOTHING: Parts = Object.freeze({});

export function partsOf(value: unknown): Parts {
  return isParts(value) ? value : NOTHING;
}

function isParts(value: unknown): value is Parts {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** NaN for what is no number: it is never equal, and never in order. */
export function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : Number.NaN;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textsOf(value: unknown): readonly string[] {
  return listOf(value).map(textOf);
}

export function numbersOf(value: unknown): readonly number[] {
  return listOf(value).map(numberOf);
}

/** Milliseconds; NaN for what is no time. */
export function timeOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN;
}

export function sameBytes(a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): boolean {
  if (a === b) return true;
  if (a === null || b === null || a === undefined || b === undefined) return false;
  return Buffer.compare(a, b) === 0;
}
