import type { Mutant } from './mutant.ts';

/** Breaks that show where two releases run at once. */
export const RELEASE_MUTANTS: readonly Mutant[] = [
  {
    name: 'older-code-drops',
    breaks: 'an older process reads of an item what it knows, and erases the rest when it replaces it',
    rules: ['releases'],
    needs: ['mixed-code'],
    edits: [
      {
        file: 'shared/ledger/items.ts',
        from: 'const exactly = z.strictObject;',
        to: 'const exactly = z.object;',
      },
    ],
  },
];
