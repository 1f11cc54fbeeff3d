import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from '../../../simulation/mutants/list.ts';
import { edited } from '../../../simulation/mutants/mutate.ts';

describe('the list of mutants', () => {
  it('has at least forty, each under a name of its own', () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(40);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });

  it.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))(
    '%s fits the code as it is',
    (name, mutant) => {
      const sources = new Map<string, string>();
      for (const edit of mutant.edits) {
        const before =
          sources.get(edit.file) ?? readFileSync(new URL(`../../../${edit.file}`, import.meta.url), 'utf8');
        const after = edited(before, edit, name);
        expect(after).not.toBe(before);
        sources.set(edit.file, after);
      }
      expect(sources.size).toBeGreaterThan(0);
    },
  );
});
