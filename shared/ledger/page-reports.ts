import { canonicalBytes } from '../signing/canonical-json.ts';
import type { Authenticator } from './authentication/authenticator.ts';
import type { Guard } from './authentication/forgery.ts';
import type { StoredPage } from './items.ts';
import type { ChunkReport, PageProgress, PageRef } from './ledger.ts';

/**
 * What workers report of a page, one after another and at the same time. Each report stands in the page's set as one text
 * with a MAC of its own, since nobody can make one for the whole item without reading it first. Counts are what
 * the reports say, and nothing else: a chunk that somebody else marked as done is found out.
 */

/** `<chunk>.<rewrapped>.<skipped>.<quarantined>.<milliseconds since 1970>.<MAC>` */
const REPORT = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.([\w-]+)$/;

interface Report extends ChunkReport {
  readonly at: number;
}

export async function reportText(
  authenticator: Authenticator,
  page: PageRef,
  report: ChunkReport,
  at: number,
): Promise<string> {
  const { rewrapped, skipped, quarantined } = report.counts;
  const mac = await authenticator.mac(reportBytes(page, { ...report, at }));
  return [report.chunk, rewrapped, skipped, quarantined, at, mac].join('.');
}

/** Throws STATE_FORGED. */
export async function readPage(guard: Guard, stored: StoredPage): Promise<PageProgress> {
  const { done, reports: texts, createdAt, ...plan } = stored;
  const what = `Page ${plan.page} of job ${plan.jobId}, round ${plan.round}, segment ${plan.segment}`;
  const reports = await Promise.all(texts.map((text) => readReport(guard, plan, text, what)));
  const reported = reports.map(({ chunk }) => chunk).toSorted((a, b) => a - b);
  const claimed = done.toSorted((a, b) => a - b);
  // As many, all different, and each of them claimed: a set has no element twice.
  if (new Set(reported).size !== reported.length || reported.join() !== claimed.join())
    throw guard.forged(what);
  const sum = (part: keyof ChunkReport['counts']) =>
    reports.reduce((total, { counts }) => total + counts[part], 0);
  return {
    plan,
    planned: plan.chunks.reduce((total, chunk) => total + chunk.records, 0),
    done: reported,
    rewrapped: sum('rewrapped'),
    skipped: sum('skipped'),
    quarantined: sum('quarantined'),
    updatedAt: new Date(Math.max(Date.parse(createdAt), ...reports.map(({ at }) => at))).toISOString(),
  };
}

async function readReport(guard: Guard, page: PageRef, text: string, what: string): Promise<Report> {
  const [, chunk, rewrapped, skipped, quarantined, at, mac] = REPORT.exec(text) ?? [];
  const report = {
    chunk: Number(chunk),
    counts: { rewrapped: Number(rewrapped), skipped: Number(skipped), quarantined: Number(quarantined) },
    at: Number(at),
  };
  if (mac === undefined) throw guard.forged(what);
  await guard.requireGenuine(reportBytes(page, report), mac, what);
  return report;
}

function reportBytes(page: PageRef, { chunk, counts, at }: Report): Uint8Array {
  const { jobId, round, segment, page: number } = page;
  const { rewrapped, skipped, quarantined } = counts;
  return canonicalBytes({
    report: { jobId, round, segment, page: number, chunk, rewrapped, skipped, quarantined, at },
  });
}
