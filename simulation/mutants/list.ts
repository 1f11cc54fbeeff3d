import type { Mutant } from './mutant.ts';
import { PEOPLE_MUTANTS } from './people.ts';
import { PURGE_MUTANTS } from './purge.ts';
import { RECORD_MUTANTS } from './records.ts';
import { RELEASE_MUTANTS } from './releases.ts';
import { ROTATION_MUTANTS } from './rotation.ts';

export const MUTANTS: readonly Mutant[] = [
  ...ROTATION_MUTANTS,
  ...PURGE_MUTANTS,
  ...RECORD_MUTANTS,
  ...PEOPLE_MUTANTS,
  ...RELEASE_MUTANTS,
];
