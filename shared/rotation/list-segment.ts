import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import type { PagePlan, PageProgress } from '../ledger/ledger.ts';
import type { ChunkMessage } from '../queue/work-queue.ts';
import type { RecordKey } from '../records/record-store.ts';
import { getRunningJob, timestamp } from './change.ts';
import { cutChunks } from './chunk.ts';
import { type Lister, openLister } from './lister.ts';
import { createPace } from './pace.ts';
import type { SegmentTask } from './plan-sweep.ts';
import { isFinished, isStalled, rollUp } from './roll-up.ts';
import type { Job } from './rotation.ts';

/** Chunks planned by one ledger write and sent by one SendMessageBatch. */
const CHUNKS_A_PAGE = 10;
/**
 * A segment's lister waits when so many pages are unfinished, which keeps the queue short, or lie above the low-water
 * mark, which keeps the ledger's reads small. It waits within its call: each turn of the state machine costs events of
 * the execution's 25,000.
 */
const MAX_UNFINISHED_PAGES = 40;
const MAX_OPEN_PAGES = 400;
const LOOK_AGAIN_MS = 1_000;
/** A lister that waits for its job's limit sees within this time that the limit, or the job's status, is another. */
const LOOK_AT_JOB_MS = 5_000;

export interface ListInput extends SegmentTask {
  /**
   * Pages below this number were surely sent by this execution. A new execution begins at 0 and sends the chunks
   * of every unfinished page again; a repeated step sends again what its first try may not have sent.
   */
  readonly queued?: number | undefined;
}

export interface ListOutput extends SegmentTask {
  readonly queued: number;
  readonly done: boolean;
  readonly waitSeconds: number;
}

/**
 * Step 4, one part of it: lists a segment's stale records and queues them in chunks, until the segment ends or
 * the time does. A page is written to the ledger before its chunks are sent, so that no chunk is ever uncounted. A job's
 * limit of records a second is kept here: see pace.ts.
 */
export async function listSegment(deps: Deps, input: ListInput, deadline: number): Promise<ListOutput> {
  let job = await getRunningJob(deps, input.jobId);
  const lister = await openLister(deps, job, input.round, input.segment);
  const pace = createPace(deps, input, lister.segments);
  let queued = input.queued ?? 0;
  let { segment, open } = await rollUp(deps, input.jobId, input.round, input.segment);

  for (const page of open) {
    if (page.plan.page < queued) continue;
    await sendAgain(deps, job, lister, page);
    queued = page.plan.page + 1;
  }

  let last = open.at(-1)?.plan ?? (await pageBefore(deps, segment.lowWater, input));
  let unfinished = countUnfinished(open);
  let ahead = open.length;
  for (;;) {
    const output = { jobId: input.jobId, round: input.round, segment: input.segment, queued, waitSeconds: 0 };
    if (last !== null && last.next === null) return { ...output, done: true };
    const next = await pace.next(job, job.chunkSize * CHUNKS_A_PAGE);
    const early = next.due - deps.clock.now();
    if (deps.clock.now() >= deadline) {
      return { ...output, done: false, waitSeconds: Math.max(0, Math.ceil(early / 1000)) };
    }
    if (unfinished >= MAX_UNFINISHED_PAGES || ahead >= MAX_OPEN_PAGES) {
      await deps.clock.sleep(LOOK_AGAIN_MS);
      job = await getRunningJob(deps, input.jobId);
      ({ segment, open } = await rollUp(deps, input.jobId, input.round, input.segment));
      // A chunk that nobody can finish must not hold up all that come after it: the next round lists them.
      if (isStalled(deps, job, segment, open)) return { ...output, done: true };
      unfinished = countUnfinished(open);
      ahead = open.length;
      continue;
    }
    if (early > 0) {
      await deps.clock.sleep(Math.max(1, Math.min(early, LOOK_AT_JOB_MS, deadline - deps.clock.now())));
      job = await getRunningJob(deps, input.jobId);
      continue;
    }
    const at = deps.clock.now();
    last = await planPage(deps, job, lister, input, last, next.records);
    pace.planned(next, at, recordsOf(last));
    // Paused, cancelled, or with another limit since.
    job = await getRunningJob(deps, input.jobId);
    queued = last.page + 1;
    unfinished += 1;
    ahead += 1;
  }
}

function recordsOf({ chunks }: PagePlan): number {
  return chunks.reduce((sum, { records }) => sum + records, 0);
}

function countUnfinished(pages: readonly PageProgress[]): number {
  return pages.filter((page) => !isFinished(page)).length;
}

async function pageBefore(deps: Deps, lowWater: number, at: SegmentTask): Promise<PagePlan | null> {
  if (lowWater === 0) return null;
  const [page] = await deps.ledger.listPages(at.jobId, at.round, at.segment, lowWater - 1, 1);
  if (page === undefined)
    throw new RotationError('ROTATION_STATE', `Page ${lowWater - 1} of job ${at.jobId} is gone`);
  return page.plan;
}

async function planPage(
  deps: Deps,
  job: Job,
  lister: Lister,
  at: SegmentTask,
  previous: PagePlan | null,
  most: number,
): Promise<PagePlan> {
  const after = previous?.next ?? null;
  const listed = await lister.list(after, most);
  const { chunks, rest } = cutChunks(listed.keys, job.chunkSize, CHUNKS_A_PAGE);
  const lastKey = chunks.at(-1)?.at(-1);
  const created = await deps.ledger.createPage(
    {
      jobId: at.jobId,
      round: at.round,
      segment: at.segment,
      page: previous === null ? 0 : previous.page + 1,
      after,
      chunks: chunks.map((keys) => ({ records: keys.length, until: lister.cursorAfter(lastOf(keys)) })),
      next: rest && lastKey !== undefined ? lister.cursorAfter(lastKey) : listed.cursor,
    },
    timestamp(deps.clock.now()),
  );
  // Somebody else planned it (two executions of one step): theirs stands, and its chunks may not have been sent.
  const messages =
    created.status === 'created'
      ? chunks.map((keys, chunk) => chunkMessage(job, lister.recordSet, created.item, chunk, keys))
      : await listAgain(job, lister, created.item, () => true);
  await deps.queue.send(messages);
  return created.item;
}

async function sendAgain(deps: Deps, job: Job, lister: Lister, page: PageProgress): Promise<void> {
  const done = new Set(page.done);
  await deps.queue.send(await listAgain(job, lister, page.plan, (chunk) => !done.has(chunk)));
}

/** The chunks' records as they are stale now: those that were worked on since are gone, and counted as skipped. */
async function listAgain(
  job: Job,
  lister: Lister,
  plan: PagePlan,
  wanted: (chunk: number) => boolean,
): Promise<ChunkMessage[]> {
  const messages: ChunkMessage[] = [];
  for (const [chunk, { records, until }] of plan.chunks.entries()) {
    if (!wanted(chunk)) continue;
    const after = chunk === 0 ? plan.after : (plan.chunks[chunk - 1]?.until ?? null);
    const keys = await lister.listRange(after, until, records);
    messages.push(chunkMessage(job, lister.recordSet, plan, chunk, keys));
  }
  return messages;
}

function chunkMessage(
  job: Job,
  recordSet: string,
  plan: PagePlan,
  chunk: number,
  keys: readonly RecordKey[],
): ChunkMessage {
  const { round, segment, page } = plan;
  const planned = plan.chunks[chunk]?.records ?? keys.length;
  return {
    v: 1,
    jobId: job.jobId,
    tenant: job.tenant,
    recordSet,
    progress: { round, segment, page, chunk, planned },
    keys: keys.map((key) => [...key]),
  };
}

function lastOf(keys: readonly RecordKey[]): RecordKey {
  const last = keys.at(-1);
  if (last === undefined) throw new RangeError('A chunk is never empty');
  return last;
}
