import type { Deps } from '../deps/deps.ts';
import type { PageProgress, SegmentProgress } from '../ledger/ledger.ts';
import { timestamp } from './change.ts';
import type { Job } from './rotation.ts';

/** Pages read at a time, from the low-water mark on. */
const PAGES_A_READ = 50;

export interface RolledSegment {
  readonly segment: SegmentProgress;
  /** Pages from the low-water mark on, in order, all that are planned. */
  readonly open: readonly PageProgress[];
}

export function isFinished(page: PageProgress): boolean {
  return page.done.length === page.plan.chunks.length;
}

/** No chunk of the segment was planned or reported for the job's stall time. */
export function isStalled(
  deps: Pick<Deps, 'clock'>,
  { times }: Pick<Job, 'times'>,
  segment: SegmentProgress,
  open: readonly PageProgress[],
): boolean {
  const latest = Math.max(Date.parse(segment.updatedAt), ...open.map((page) => Date.parse(page.updatedAt)));
  return deps.clock.now() - latest > times.stallSeconds * 1000;
}

/**
 * Moves a segment's low-water mark over the finished pages right behind it. Only a contiguous mark counts: a
 * page that finished out of order stays open until all before it have.
 */
export async function rollUp(
  deps: Deps,
  jobId: string,
  round: number,
  index: number,
): Promise<RolledSegment> {
  for (;;) {
    const segment = await deps.ledger.getSegment(jobId, round, index);
    const open = await readOpenPages(deps, segment);
    const firstOpen = open.findIndex((page) => !isFinished(page));
    const finished = firstOpen === -1 ? open : open.slice(0, firstOpen);
    if (finished.length === 0) return { segment, open };
    const next = addPages(segment, finished, timestamp(deps.clock.now()));
    // Lost a race: the other roll-up's result is read by the next turn.
    if (await deps.ledger.advanceSegment(next, segment.lowWater)) {
      return { segment: next, open: open.slice(finished.length) };
    }
  }
}

async function readOpenPages(deps: Deps, segment: SegmentProgress): Promise<PageProgress[]> {
  const pages: PageProgress[] = [];
  for (;;) {
    const from = segment.lowWater + pages.length;
    const read = await deps.ledger.listPages(
      segment.jobId,
      segment.round,
      segment.segment,
      from,
      PAGES_A_READ,
    );
    pages.push(...read);
    if (read.length < PAGES_A_READ) return pages;
  }
}

/** Pure: the sums with these pages, which follow the low-water mark without a gap. */
export function addPages(
  segment: SegmentProgress,
  pages: readonly PageProgress[],
  at: string,
): SegmentProgress {
  const sum = (part: 'planned' | 'rewrapped' | 'skipped' | 'quarantined') =>
    pages.reduce((total, page) => total + page[part], segment[part]);
  return {
    ...segment,
    lowWater: segment.lowWater + pages.length,
    planned: sum('planned'),
    rewrapped: sum('rewrapped'),
    skipped: sum('skipped'),
    quarantined: sum('quarantined'),
    finished: pages.at(-1)?.plan.next === null,
    updatedAt: at,
  };
}
