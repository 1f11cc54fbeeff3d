import { LedgerError } from '../errors/errors.ts';
import { type Item, marshalItem } from './attribute-values.ts';
import {
  CONDITIONS,
  censusPrefix,
  type ItemKey,
  itemKeys,
  jobPartition,
  noneReported,
  PARTITION_KEY,
  pageRange,
  REPORT_CHUNKS,
  SORT_KEY,
  STORED_WITH,
  segmentPrefix,
} from './attributes.ts';
import type { Authenticator } from './authentication/authenticator.ts';
import type { Guard } from './authentication/forgery.ts';
import {
  pagePlanSchema,
  pageSchema,
  parseItem,
  type Readable,
  roundSchema,
  type StoredPage,
  segmentCensusSchema,
  segmentSchema,
} from './items.ts';
import type {
  ChunkReport,
  Ledger,
  PagePlan,
  PageProgress,
  PageRef,
  RoundPlan,
  SegmentCensus,
  SegmentProgress,
} from './ledger.ts';
import { readPage, reportText } from './page-reports.ts';
import { createOne, isSame, type Kind, readOne } from './stored-items.ts';
import type { TableClient } from './table-client.ts';

/** A sweep's plan and progress, and the counts of a census. All of a job's items are in its partition, in order. */

type ProgressLedger = Pick<
  Ledger,
  | 'createRound'
  | 'getRound'
  | 'createPage'
  | 'reportChunks'
  | 'listPages'
  | 'getSegment'
  | 'listSegments'
  | 'advanceSegment'
  | 'putSegmentCensus'
  | 'listSegmentCensus'
>;

const ROUND: Kind<RoundPlan> = {
  name: 'round',
  schema: roundSchema,
  storedWith: STORED_WITH.created,
  keyOf: ({ jobId, round }) => itemKeys.round(jobId, round),
};

const PAGE: Kind<PagePlan> = {
  name: 'page',
  schema: pagePlanSchema,
  storedWith: STORED_WITH.page,
  keyOf: ({ jobId, round, segment, page }) => itemKeys.page(jobId, round, segment, page),
};

const SEGMENT: Kind<SegmentProgress> = {
  name: 'segment',
  schema: segmentSchema,
  storedWith: STORED_WITH.put,
  keyOf: ({ jobId, round, segment }) => itemKeys.segment(jobId, round, segment),
};

/** The same item, with what was reported of it. */
const REPORTED_PAGE: Readable<StoredPage> = {
  name: 'page',
  schema: pageSchema,
  storedWith: STORED_WITH.created,
};

const SEGMENT_CENSUS: Readable<SegmentCensus> = {
  name: 'census',
  schema: segmentCensusSchema,
  storedWith: STORED_WITH.put,
};

const NOTHING_DONE = { rewrapped: 0, skipped: 0, quarantined: 0 };

/** Long before any date that a roll-up can have. */
const NEVER = new Date(0).toISOString();

export function createProgressLedger(
  table: TableClient,
  authenticator: Authenticator,
  guard: Guard,
): ProgressLedger {
  const pageOf = (item: Item): Promise<PageProgress> => readPage(guard, parseItem(REPORTED_PAGE, item));
  return {
    createRound: (plan) => createOne(table, ROUND, plan),
    getRound: async (jobId, round) => readOne(table, ROUND, itemKeys.round(jobId, round)),
    createPage: (plan, at) => createOne(table, PAGE, plan, { createdAt: at }),
    async reportChunks(page, reports, at) {
      const key = itemKeys.page(page.jobId, page.round, page.segment, page.page);
      // By number: one chunk twice in one call is one report.
      let open = [...new Map(reports.map((report) => [report.chunk, report])).values()];
      while (open.length > 0) {
        const texts = await Promise.all(
          open.map((report) => reportText(authenticator, page, report, Date.parse(at))),
        );
        if ((await writeReports(table, key, open, texts)) === 'written') break;
        const stored = await table.get(key);
        const known = stored === null ? null : await pageOf(stored);
        const missing = open.find(({ chunk }) => known === null || chunk >= known.plan.chunks.length);
        if (known === null || missing !== undefined) throw notPlanned(page, missing);
        // Some were counted before: the set only grows, so every turn has fewer to report.
        open = open.filter(({ chunk }) => !known.done.includes(chunk));
      }
      return open.map(({ chunk }) => chunk);
    },
    listPages: async (jobId, round, segment, from, limit) => {
      const [first, last] = pageRange(round, segment, from);
      const items = await table.query({
        condition: '#pk = :pk AND #sk BETWEEN :first AND :last',
        names: { '#pk': PARTITION_KEY, '#sk': SORT_KEY },
        values: { ':pk': jobPartition(jobId), ':first': first, ':last': last },
        limit,
      });
      return Promise.all(items.map(pageOf));
    },
    getSegment: async (jobId, round, segment) => {
      const stored = await readOne(table, SEGMENT, itemKeys.segment(jobId, round, segment));
      const nothing = { lowWater: 0, planned: 0, finished: false, updatedAt: NEVER, ...NOTHING_DONE };
      return stored ?? { jobId, round, segment, ...nothing };
    },
    listSegments: async (jobId, round) => {
      const items = await queryPrefix(table, jobPartition(jobId), segmentPrefix(round));
      return items.map((item) => parseItem(SEGMENT, item));
    },
    advanceSegment: (next, expectedLowWater) => advanceSegment(table, next, expectedLowWater),
    putSegmentCensus: async (census) => {
      await table.put(itemKeys.census(census.jobId, census.census, census.segment), census);
    },
    listSegmentCensus: async (jobId, census) => {
      const items = await queryPrefix(table, jobPartition(jobId), censusPrefix(census));
      return items.map((item) => parseItem(SEGMENT_CENSUS, item));
    },
  };
}

function notPlanned({ jobId, round, segment, page }: PageRef, report: ChunkReport | undefined): LedgerError {
  return new LedgerError(
    'LEDGER_NOT_FOUND',
    `Job ${jobId} has no chunk ${report?.chunk} in page ${page} of round ${round}, segment ${segment}`,
  );
}

function writeReports(
  table: TableClient,
  key: ItemKey,
  reports: readonly ChunkReport[],
  texts: readonly string[],
) {
  const chunks = reports.map(({ chunk }) => chunk);
  return table.update(key, REPORT_CHUNKS, {
    expression: noneReported(chunks.length),
    values: {
      ...marshalItem({
        ...Object.fromEntries(chunks.map((chunk, i) => [`:chunk${i}`, chunk])),
        ':highest': Math.max(...chunks),
      }),
      ':chunks': { NS: chunks.map(String) },
      ':reports': { SS: [...texts] },
    },
  });
}

async function advanceSegment(table: TableClient, next: SegmentProgress, expected: number): Promise<boolean> {
  const key = SEGMENT.keyOf(next);
  const result = await table.put(key, next, {
    expression: expected === 0 ? CONDITIONS.notThereOrLowWaterIs : CONDITIONS.lowWaterIs,
    values: marshalItem({ ':expected': expected }),
  });
  if (result === 'written') return true;
  // The reply of a committed write was lost, and the client sent it again.
  const stored = await table.get(key);
  return stored !== null && isSame(SEGMENT, stored, next);
}

async function queryPrefix(table: TableClient, partition: string, prefix: string) {
  return table.query({
    condition: '#pk = :pk AND begins_with(#sk, :prefix)',
    names: { '#pk': PARTITION_KEY, '#sk': SORT_KEY },
    values: { ':pk': partition, ':prefix': prefix },
  });
}
