import type { Refusal } from '../../shared/rotation/call-off-purge.ts';
import { isTriedAgain } from '../../shared/rotation/retry-rotation.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { coverageParts } from './coverage-words.ts';
import { count, counted, duration, time } from './format.ts';
import type { Counts, Snapshot } from './watch-jobs.ts';

/** A job in words. Pure. */

const WORK = { rotate: 'rewrapping', adopt: 'sealing', purge: 'counting' } as const;
const DONE = { rotate: 'rewrapped', adopt: 'sealed', purge: 'counted' } as const;

/** What the job does at this moment. `calledOff`: what it does not say itself yet. */
export function stepOf(job: Job, calledOff: Refusal | null = null): string {
  if (calledOff !== null) return calledOffWords(job, calledOff);
  switch (job.status) {
    case 'REQUESTED':
      return 'waiting for its execution to begin';
    case 'PREPARING':
      return preparingWords(job);
    case 'SWEEPING': {
      const work = job.kind === 'rotate' && job.mode === 're-encrypt' ? 're-encrypting' : WORK[job.kind];
      return job.round > 1 ? `${work} records, round ${job.round}` : `${work} records`;
    }
    case 'BARRIER':
      return job.barrierUntil === null
        ? 'waiting for the propagation barrier'
        : `waiting for the propagation barrier until ${time(job.barrierUntil)}`;
    case 'CENSUS':
      if (job.kind === 'purge') return purgeStep(job);
      return job.kind === 'adopt' ? 'looking for plaintext that is left' : 'census: reading every envelope';
    case 'COMPLETED':
      return 'completed';
    case 'BLOCKED':
      return `blocked: ${job.blocker?.message ?? 'no reason was written down'}`;
    case 'PAUSED':
      return pauseWords(job);
    case 'CANCELLED':
      return job.cancelled === null
        ? 'cancelled'
        : `cancelled by ${job.cancelled.by} at ${time(job.cancelled.at)}`;
  }
}

function calledOffWords({ kind }: Job, { code, message }: Refusal): string {
  const next = isTriedAgain(kind, code)
    ? 'the daily sweep begins it anew when nothing holds the version'
    : 'only `keyturn purge` begins it anew';
  return `called off: ${message}; ${next}`;
}

function preparingWords({ kind, goal, to }: Job): string {
  if (kind !== 'rotate' || goal === 'RESWEEP') return 'preparing';
  return goal === 'ROLLBACK'
    ? `proving and activating version ${to} again`
    : 'making, proving and activating the new version';
}

function purgeStep({ barrierUntil }: Job): string {
  return barrierUntil === null
    ? 'rehearsal, then census'
    : `rehearsal; from ${time(barrierUntil)} on the census reads every envelope`;
}

/** Why a job rests, and what takes it up again. */
export function pauseWords({ pause, tenant, purpose }: Pick<Job, 'pause' | 'tenant' | 'purpose'>): string {
  switch (pause?.reason) {
    case 'ROOT_KEY':
      return `paused: root key ${pause.rootKeyId ?? '(unnamed)'} cannot be used; it goes on by itself when it can`;
    case 'PERSON':
      return `paused by ${pause.by ?? 'a person'} at ${time(pause.at)}; \`keyturn resume ${keyOptions({ tenant, purpose })}\` takes it up`;
    case 'APPROVAL':
      return 'fenced, and waiting for approvals: `keyturn approvals list`';
    case undefined:
      return 'paused';
  }
}

export function nameOf(
  job: Pick<Job, 'kind' | 'goal' | 'tenant' | 'purpose' | 'from' | 'to' | 'recordSets'>,
): string {
  const key = keyName(job);
  switch (job.kind) {
    case 'rotate':
      if (job.goal === 'ROLLBACK') return `roll back ${key} ${job.from} -> ${job.to}`;
      if (job.goal === 'RESWEEP') return `re-sweep ${key} to version ${job.to}`;
      return `rotate ${key}${job.to === 0 ? ` from version ${job.from}` : ` ${job.from} -> ${job.to}`}`;
    case 'purge':
      return `purge ${key} version ${job.from}`;
    case 'adopt':
      return `adopt ${job.recordSets.join(', ')} of ${job.tenant}`;
  }
}

/** As options of a command. */
export function keyOptions({ tenant, purpose }: { tenant: string; purpose: string }): string {
  return purpose === 'default' ? `--tenant ${tenant}` : `--tenant ${tenant} --purpose ${purpose}`;
}

export function keyName({ tenant, purpose }: { tenant: string; purpose: string }): string {
  return purpose === 'default' ? tenant : `${tenant}/${purpose}`;
}

export function recordsDone({ rewrapped, skipped, quarantined }: Counts): number {
  return rewrapped + skipped + quarantined;
}

/** `, at most 50 records/s`; empty: no limit. */
export function limitWords({ recordsPerSecond }: Pick<Job, 'recordsPerSecond'>): string {
  return recordsPerSecond === null ? '' : `, at most ${count(recordsPerSecond)} records/s`;
}

/** `1,200 of 20,000 records`; `+` while the listing goes on. */
export function recordsOf(counts: Counts): string {
  return `${count(recordsDone(counts))} of ${count(counts.planned)}${counts.listed ? '' : '+'} records`;
}

export function countsLine(kind: Job['kind'], counts: Counts): string {
  return [
    `${count(counts.rewrapped)} ${DONE[kind]}`,
    `${count(counts.skipped)} skipped`,
    `${count(counts.quarantined)} quarantined`,
    `${count(counts.remaining)} remaining`,
  ].join(', ');
}

export function secondsOf(job: Job): number | null {
  if (job.completedAt === null) return null;
  return Math.max(0, (Date.parse(job.completedAt) - Date.parse(job.startedAt ?? job.requestedAt)) / 1000);
}

/** The lines under a finished rotation or purge: what the census read, by version. The parts add up to the values. */
export function censusLines({ census }: Pick<Job, 'census'>): string[] {
  if (census === null) return [];
  return Object.entries(census.coverage).map(([recordSet, found]) => {
    const read = `${counted(found.rows, 'row')} and ${counted(found.values, 'value')} read`;
    return `${recordSet}: ${read}; ${coverageParts(found).join(', ') || 'none names this key'}`;
  });
}

/** Stable JSON of a job. */
export function jobJson(job: Job, counts: Counts | null): object {
  const { jobId, kind, tenant, purpose, mode, from, to, recordSets, status, round, attempt } = job;
  const { requestedBy, requestedAt, startedAt, barrierUntil, completedAt, purgeNotBefore } = job;
  return {
    ...{ jobId, kind, goal: job.goal, tenant, purpose, mode, from, to, recordSets, status, round, attempt },
    recordsPerSecond: job.recordsPerSecond,
    ...{ requestedBy, requestedAt, startedAt, barrierUntil, completedAt, purgeNotBefore },
    seconds: secondsOf(job),
    progress: counts,
    blocker: job.blocker,
    pause: job.pause,
    cancelled: job.cancelled,
    approvalId: job.approvalId,
    census: job.census,
  };
}

export function snapshotLine({ job, progress, calledOff }: Snapshot): string {
  const records = progress !== null && job.status === 'SWEEPING' ? `: ${recordsOf(progress)}` : '';
  const limit = job.status === 'SWEEPING' ? limitWords(job) : '';
  return `${nameOf(job)}: ${stepOf(job, calledOff)}${records}${limit}`;
}

export function tookLine(job: Job, counts: Counts): string | null {
  const seconds = secondsOf(job);
  if (seconds === null) return null;
  const done = counts.rewrapped;
  const rate = seconds > 0 && done > 0 ? `, ${count(Math.round(done / seconds))} records/s over all` : '';
  return `${duration(seconds)}${rate}`;
}
