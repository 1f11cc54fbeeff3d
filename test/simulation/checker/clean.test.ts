import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { check } from './check-history.ts';
import { cleanStory } from './story.ts';

test('a history in which all goes well has no findings', () => {
  expect(check(cleanStory())).toEqual([]);
});

test('nothing has happened', () => {
  expect(check([])).toEqual([]);
});

test('the checker imports nothing but itself and Node', () => {
  const folder = join(import.meta.dirname, '../../../simulation/checker');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  expect(files.length).toBeGreaterThan(20);
  for (const file of files) {
    const imports = [...readFileSync(join(folder, file), 'utf8').matchAll(/\bfrom '([^']+)'|\bimport\(/g)];
    for (const [, from = 'import()'] of imports) {
      const within =
        /^\.\/[a-z/-]+\.ts$/.test(from) || (file.startsWith('rules') && /^\.\.\/[a-z-]+\.ts$/.test(from));
      expect(within || from.startsWith('node:'), `${file} imports ${from}`).toBe(true);
    }
  }
});
