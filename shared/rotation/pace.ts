import type { Deps } from '../deps/deps.ts';
import type { SegmentTask } from './plan-sweep.ts';
import { rollUp } from './roll-up.ts';
import type { Job } from './rotation.ts';

/**
 * How fast a segment is listed when its job has a limit: all listers together keep to it, and nobody works on a record
 * that was not listed. Each takes an equal share, by what it sees of the others every few seconds. Chunks that are sent
 * again, by a step or an execution that is repeated, come on top of it.
 */
export interface Pace {
  /** From when on the next page may be planned, and the most records in it. */
  next(job: Pick<Job, 'recordsPerSecond'>, most: number): Promise<PacedPage>;
  /** It was planned, at `at`, with so many records. */
  planned(page: PacedPage, at: number, records: number): void;
}

export interface PacedPage {
  /** Milliseconds since the Unix epoch; 0: at once. */
  readonly due: number;
  readonly records: number;
  /** Records a second of this lister. */
  readonly share: number;
}

/** MaxConcurrency of ListSegments in the state machines. */
export const LISTERS_AT_ONCE = 40;
/** A page is so many milliseconds' worth of records, or one record. */
const PAGE_MS = 1_000;
/** A page that is late by less does not make the next one later: timers and reads take their time. */
const CATCH_UP_MS = 500;
const LOOK_EVERY_MS = 10_000;
/** Other segments that one look reads, which would else be as many reads as there are pairs of listers. */
const READS_A_LOOK = 4;

/** `segments`: how many there are in the round. */
export function createPace(deps: Deps, task: SegmentTask, segments: number): Pace {
  const others = createOthers(deps, task, segments);
  let last: { readonly at: number; readonly records: number; readonly share: number } | null = null;
  return {
    async next({ recordsPerSecond }, most) {
      if (recordsPerSecond === null) return { due: 0, records: most, share: Number.POSITIVE_INFINITY };
      const share = recordsPerSecond / Math.min((await others.listing()) + 1, LISTERS_AT_ONCE);
      const records = Math.min(most, Math.max(1, Math.floor((share * PAGE_MS) / 1000)));
      if (last === null) return { due: 0, records, share };
      // A clock that was set back must not make it wait for longer; nor does a lower limit for a page from before it.
      const since = Math.min(last.at, deps.clock.now());
      return { due: since + (last.records / Math.max(share, last.share)) * 1000, records, share };
    },
    planned({ due, share }, at, records) {
      last = { at: Math.max(due, at - CATCH_UP_MS), records, share };
    },
  };
}

/** What is known of the round's other segments: whether they are listed to their ends. */
function createOthers(deps: Deps, { jobId, round, segment: own }: SegmentTask, segments: number) {
  const listed = new Set<number>();
  let lookedAt: number | null = null;
  let next = own + 1;

  async function look(): Promise<void> {
    for (const { segment, finished } of await deps.ledger.listSegments(jobId, round)) {
      if (finished && segment !== own) listed.add(segment);
    }
    let reads = 0;
    for (let i = 0; i < segments && reads < READS_A_LOOK; i++) {
      const index = next++ % segments;
      if (index === own || listed.has(index)) continue;
      reads += 1;
      // Whose lister has ended, nobody rolls up, until the sweep is looked at as a whole.
      const { segment, open } = await rollUp(deps, jobId, round, index);
      if (segment.finished || open.at(-1)?.plan.next === null) listed.add(index);
    }
  }

  return {
    /** How many are being listed, or will be. */
    async listing(): Promise<number> {
      const now = deps.clock.now();
      if (lookedAt === null || Math.abs(now - lookedAt) >= LOOK_EVERY_MS) {
        await look();
        lookedAt = now;
      }
      return segments - 1 - listed.size;
    },
  };
}
