import { PEOPLE } from './people.ts';
import { PURGES } from './purges.ts';
import { RESTORES } from './restores.ts';
import { ROTATIONS } from './rotations.ts';
import type { Situation } from './situation.ts';
import { WRITERS } from './writers.ts';

export const SITUATIONS: readonly Situation[] = [...ROTATIONS, ...WRITERS, ...RESTORES, ...PURGES, ...PEOPLE];
