import { isRunning } from '../../shared/rotation/rotation.ts';
import { namesOld } from './restores.ts';
import type { Situation } from './situation.ts';
import { OFTEN, RARE, SELDOM } from './within.ts';

/** Where writes of applications and of workers meet. */
export const WRITERS: readonly Situation[] = [
  {
    name: 'old-version-written',
    means: 'an application writes under a version that was just left',
    within: OFTEN,
    seen: {
      entry: (entry, known) =>
        entry.kind === 'record' && entry.cause === 'application' && namesOld(entry, known),
    },
  },
  {
    name: 'stale-writer-refused',
    means: 'an application that stood still is refused by the fence (STORE_FENCED)',
    within: OFTEN,
    seen: { entry: (entry) => entry.kind === 'refused' && entry.code === 'STORE_FENCED' },
  },
  {
    name: 'worker-gives-way',
    means: 'a record changes between a worker’s read and its write, and the other write stands',
    within: SELDOM,
    seen: { entry: (entry) => entry.kind === 'refused' && entry.code === 'CONFLICT' },
  },
  {
    name: 'zombie-refused',
    means: 'the write of a function that stood still for hours is refused',
    within: RARE,
    seen: {
      entry: (entry, known) =>
        entry.kind === 'refused' && entry.what === 'write' && known.zombies.has(entry.by),
    },
  },
  {
    name: 'late-chunk',
    means: 'a worker rewraps a record when its rotation is over',
    within: SELDOM,
    seen: {
      entry: (entry, known) =>
        entry.kind === 'record' &&
        entry.cause === 'pipeline' &&
        ![...known.jobs.values()].some(
          ({ kind, tenant, status }) => kind === 'rotate' && tenant === entry.tenant && isRunning(status),
        ),
    },
  },
];
