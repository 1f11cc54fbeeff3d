import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, expect, it } from 'vitest';

/**
 * Time, timers, ids and randomness come through ports, so that a simulation decides them all. Two files ask the machine:
 * the system's clock, and the randomness of keys.
 */

const ROOT = join(import.meta.dirname, '..');
const ASKS_THE_MACHINE = ['shared/clock/system.ts', 'shared/envelope/seed.ts'];

const SOURCES: readonly (readonly [string, RegExp])[] = [
  ['Date.now', /\bDate\.now\b/],
  ['new Date()', /\bnew Date\(\)/],
  ['Math.random', /\bMath\.random\b/],
  ['randomUUID', /\brandomUUID\b/],
  ['randomBytes', /\brandomBytes\b|\brandomFill(Sync)?\b|\brandomInt\b|\bgetRandomValues\b/],
  ['performance.now', /\bperformance\.now\b|\bhrtime\b/],
  ['timers', /\bset(Timeout|Interval|Immediate)\b|node:timers|\bAbortSignal\.timeout\b/],
  ['uuid', /from 'uuid'/],
];

/** Ids made of what is given: of what they name, or of randomness that was passed in. */
const GIVEN = ['shared/rotation/job-id.ts', 'shared/providers/local/keystore.ts'];

function files(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(ROOT.length + 1)
        .split(sep)
        .join('/'),
    );
}

/** Without comments. */
function codeOf(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/(^|\s)\/\/.*$/gm, '');
}

describe('clocks, timers, ids and randomness', () => {
  const checked = [...files('shared'), ...files('functions')].filter(
    (path) => !ASKS_THE_MACHINE.includes(path),
  );

  it('are looked for in every file', () => {
    expect(checked.length).toBeGreaterThan(200);
    for (const path of ASKS_THE_MACHINE)
      expect(SOURCES.some(([, pattern]) => pattern.test(codeOf(path)))).toBe(true);
  });

  it.each(SOURCES)('%s is asked in no other place', (name, pattern) => {
    const found = checked.filter((path) => pattern.test(codeOf(path)));
    expect(name === 'uuid' ? found.filter((path) => !GIVEN.includes(path)) : found).toEqual([]);
  });
});
