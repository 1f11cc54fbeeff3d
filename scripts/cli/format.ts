/** Numbers, times and tables for people. Pure. */

const GROUPED = new Intl.NumberFormat('en-US');

export function count(value: number): string {
  return GROUPED.format(value);
}

/** `1 record`, `2 records`. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** `2026-11-22 04:12:10 UTC` */
export function time(timestamp: string): string {
  return `${timestamp.slice(0, 10)} ${timestamp.slice(11, 19)} UTC`;
}

const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['min', 60],
] as const;

/** The two largest units: `35 d`, `2 h 5 min`, `1 min 7 s`, `12 s`, `0.4 s`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, Math.round(seconds * 10) / 10)} s`;
  let left = Math.round(seconds);
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    if (left >= size || parts.length > 0) {
      const whole = Math.floor(left / size);
      if (whole > 0) parts.push(`${whole} ${unit}`);
      left -= whole * size;
    }
    if (parts.length === 2) break;
  }
  if (parts.length < 2 && left > 0) parts.push(`${left} s`);
  return parts.slice(0, 2).join(' ');
}

/** Columns as wide as their widest cell; numbers right-aligned by a leading `>` in the heading. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const right = headings.map((heading) => heading.startsWith('>'));
  const titles = headings.map((heading) => heading.replace(/^>/, ''));
  const all = [titles, ...rows];
  const widths = titles.map((_, column) => Math.max(...all.map((row) => shown(row[column] ?? ''))));
  return all.map((row) =>
    titles
      .map((_, column) => {
        const cell = row[column] ?? '';
        const gap = ' '.repeat((widths[column] ?? 0) - shown(cell));
        return right[column] === true ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Length without colour codes. */
function shown(text: string): number {
  return text.replace(/\p{Cc}\[[0-9;]*m/gu, '').length;
}
