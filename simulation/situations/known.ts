import type { ApprovalRequest } from '../../shared/approvals/approval.ts';
import type { KeyVersion, TenantKey } from '../../shared/keyring/key.ts';
import type { QuarantinedRecord } from '../../shared/ledger/ledger.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import { isRunning, type Job, waitsForApproval } from '../../shared/rotation/rotation.ts';
import type { HistoryEntry } from '../history.ts';

/** What situations look up: all entries up to the one that they are asked about. */
export interface Known {
  readonly approvalsRequired: number;
  /** By key id. */
  readonly keys: ReadonlyMap<string, TenantKey>;
  readonly jobs: ReadonlyMap<string, Job>;
  readonly restores: ReadonlyMap<string, Restore>;
  /** By item id. */
  readonly quarantined: ReadonlyMap<string, QuarantinedRecord>;
  /** Processes that a zombie froze, by their names, with when. */
  readonly zombies: ReadonlyMap<string, number>;
  /** The attempt of the purge that decided on the destruction of a version, by `<key id>/<version>`. */
  readonly decidedBy: ReadonlyMap<string, number>;
  /** How many approved it. */
  approvalsOf(requestId: string): number;
  /** The requests that running purges wait for. */
  awaited(): readonly ApprovalRequest[];
  /** What a job went through: `SWEEPING>PAUSED ROOT_KEY`, `CENSUS>BLOCKED HELD`, `CANCELLED>REQUESTED`. */
  wentThrough(jobId: string, step: RegExp): boolean;
  /** The job that destroys the version. */
  purgeOf(keyId: string, version: number): Job | undefined;
  /** Rotations, rollbacks and re-sweeps of that key. */
  rotationsOf(keyId: string): readonly Job[];
  /** Versions that wait for their destruction, of all keys. */
  pending(): readonly (readonly [TenantKey, KeyVersion])[];
}

/** What is known, and what adds to it. */
export interface Memory extends Known {
  keepKey(key: TenantKey): void;
  keepJob(before: Job | null, after: Job): void;
  keepRestore(restore: Restore): void;
  keep(entry: HistoryEntry): void;
}

const NONE: readonly ApprovalRequest[] = [];

export function createMemory(): Memory {
  let approvalsRequired = 0;
  const keys = new Map<string, TenantKey>();
  const jobs = new Map<string, Job>();
  const restores = new Map<string, Restore>();
  const quarantined = new Map<string, QuarantinedRecord>();
  const zombies = new Map<string, number>();
  const decidedBy = new Map<string, number>();
  /** The requests of jobs that wait. */
  const waiting = new Map<string, string>();
  const requests = new Map<string, ApprovalRequest>();
  const approvals = new Map<string, number>();
  const steps = new Map<string, string[]>();

  const purgeOf = (keyId: string, version: number) => {
    for (const job of jobs.values())
      if (job.kind === 'purge' && job.keyId === keyId && job.from === version) return job;
    return undefined;
  };
  const keepItem = (item: string, id: string, value: unknown) => {
    if (item === 'quarantined') {
      if (value === null) quarantined.delete(id);
      else quarantined.set(id, value as QuarantinedRecord);
    } else if (item === 'approvalRequests') {
      const request = value as ApprovalRequest;
      requests.set(request.requestId, request);
    } else if (item === 'approvals') {
      const { requestId } = value as { readonly requestId: string };
      approvals.set(requestId, (approvals.get(requestId) ?? 0) + 1);
    }
  };

  return {
    get approvalsRequired() {
      return approvalsRequired;
    },
    ...{ keys, jobs, restores, quarantined, zombies, decidedBy, purgeOf },
    approvalsOf: (requestId) => approvals.get(requestId) ?? 0,
    awaited() {
      if (waiting.size === 0) return NONE;
      return [...waiting.values()].flatMap((approvalId) => requests.get(approvalId) ?? []);
    },
    wentThrough: (jobId, step) => steps.get(jobId)?.some((one) => step.test(one)) ?? false,
    rotationsOf: (keyId) => [...jobs.values()].filter((job) => job.kind === 'rotate' && job.keyId === keyId),
    pending: () =>
      [...keys.values()].flatMap((key) =>
        Object.values(key.versions)
          .filter(({ state }) => state === 'DESTROY_PENDING')
          .map((version) => [key, version] as const),
      ),
    keepKey(key) {
      for (const { version, destroyAuthorizedAt, state } of Object.values(key.versions)) {
        const name = `${key.keyId}/${version}`;
        if (state !== 'DESTROY_PENDING' || destroyAuthorizedAt === null) decidedBy.delete(name);
        else if (!decidedBy.has(name)) decidedBy.set(name, purgeOf(key.keyId, version)?.attempt ?? 0);
      }
      keys.set(key.keyId, key);
    },
    keepJob(before, after) {
      jobs.set(after.jobId, after);
      if (waitsForApproval(after)) waiting.set(after.jobId, after.approvalId ?? '');
      else waiting.delete(after.jobId);
      if (before === null || (before.status === after.status && !isRunning(after.status))) return;
      const list = steps.get(after.jobId) ?? [];
      list.push(stepOf(before, after));
      steps.set(after.jobId, list);
    },
    keepRestore(restore) {
      restores.set(restore.restoreId, restore);
    },
    keep(entry) {
      if (entry.kind === 'config') approvalsRequired = entry.approvalsRequired;
      else if (entry.kind === 'item') keepItem(entry.item, entry.id, entry.value);
      else if (entry.kind === 'fault' && entry.fault === 'zombie')
        zombies.set(entry.where.split(' ', 1)[0] ?? '', entry.at);
    },
  };
}

/** See `wentThrough`. */
export function stepOf(before: Job, after: Job): string {
  const why = after.pause?.reason ?? after.blocker?.code ?? '';
  return `${before.status}>${after.status} ${why}`.trimEnd();
}
