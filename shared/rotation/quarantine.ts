import type { Deps } from '../deps/deps.ts';
import { isTombstone } from '../envelope/index.ts';
import { changeKeyItem } from '../keyring/change-version.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { QuarantinedRecord } from '../ledger/ledger.ts';
import { changeKey, getKey, timestamp } from './change.ts';
import { backupHolds } from './holds.ts';
import { namedVersion } from './rewrap-records.ts';

/** Records read at a time when the quarantine is compared with the store. */
const BATCH = 500;

/**
 * What stands there now. `stale`: a value that a census counts. `plaintext`: what an adoption could not seal; it has no
 * envelope, and needs no version. `unknown`: it cannot be looked at.
 */
export type Finding = 'stale' | 'plaintext' | 'unknown';

export interface StayingRecord extends QuarantinedRecord {
  readonly finding: Finding;
}

/**
 * Takes those out of the quarantine that need it no longer: the row is gone, the field is NULL, or it is on the
 * key's active version by now (the application wrote it, or a retry worked), or was given up; of an adoption's, that an envelope stands
 * there. Returns the ones that stay.
 */
export async function settleQuarantine(
  deps: Deps,
  tenant: string,
  purpose: string,
): Promise<readonly StayingRecord[]> {
  const key = await getKey(deps, tenant, purpose);
  const staying: StayingRecord[] = [];
  const byRecordSet = new Map<string, QuarantinedRecord[]>();
  for (const record of await deps.ledger.listQuarantined(key.keyId)) {
    const list = byRecordSet.get(record.recordSet);
    if (list === undefined) byRecordSet.set(record.recordSet, [record]);
    else list.push(record);
  }
  for (const [recordSet, records] of byRecordSet) {
    for (let i = 0; i < records.length; i += BATCH) {
      const batch = records.slice(i, i + BATCH);
      const findings = await lookAt(deps, recordSet, batch, key.keyId, key.active);
      const settled = batch.filter((_, j) => findings[j] === 'settled');
      await holdForBackups(deps, key, settled);
      for (const record of settled) await deps.ledger.deleteQuarantined(record);
      for (const [j, record] of batch.entries()) {
        const finding = findings[j] ?? 'unknown';
        if (finding !== 'settled' && finding !== 'given up') staying.push({ ...record, finding });
        if (finding === 'given up') await deps.ledger.deleteQuarantined(record);
      }
    }
  }
  return staying;
}

/** `given up`: what backups have in its place cannot be read anyway. */
type Gone = 'settled' | 'given up';

/**
 * Until now these stood on versions that were retired without them. The backups that were taken since contain them, and
 * need their versions for as long as they live. Written before the quarantine forgets them.
 */
export async function holdForBackups(
  deps: Deps,
  { tenant, purpose }: TenantKey,
  settled: readonly QuarantinedRecord[],
): Promise<void> {
  const named = new Set(settled.map(({ version }) => version));
  if (named.size === 0) return;
  await changeKey(deps, tenant, purpose, (current) => {
    const retired = Object.values(current.versions)
      .filter(({ version, purgeNotBefore }) => named.has(version) && purgeNotBefore !== null)
      .map(({ version }) => version);
    if (retired.length === 0) return current;
    const holds = backupHolds(current, retired, deps.config, timestamp(deps.clock.now()));
    return changeKeyItem(current, { holds });
  });
}

async function lookAt(
  deps: Deps,
  recordSet: string,
  batch: readonly QuarantinedRecord[],
  keyId: string,
  active: number,
): Promise<readonly (Finding | Gone)[]> {
  // A record set that is no longer declared cannot be looked at: its records stay where they are.
  if (!deps.recordSets.names.includes(recordSet)) return batch.map(() => 'unknown');
  const store = deps.recordSets.store(recordSet);
  const rows = await store.read(batch.map(({ recordId }) => recordId));
  const adoptions = await findAdoptions(deps, batch);
  return batch.map((record, i): Finding | Gone => {
    const row = rows[i] ?? null;
    if (row === null || row.tenant !== record.tenant) return 'settled';
    const index = store.fields.indexOf(record.field);
    if (index === -1) return 'unknown';
    const value = row.values[index] ?? null;
    const adoption = adoptions.has(record.jobId);
    if (value === null) return adoption ? 'plaintext' : 'settled';
    if (isTombstone(value)) return 'given up';
    if (adoption) return 'settled';
    const named = namedVersion(value);
    const current = named !== null && named.keyId === keyId && named.version === active;
    return current ? 'settled' : 'stale';
  });
}

/** Which of the records' jobs are adoptions: what they set aside is plaintext. */
async function findAdoptions(deps: Deps, batch: readonly QuarantinedRecord[]): Promise<ReadonlySet<string>> {
  const adoptions = new Set<string>();
  for (const jobId of new Set(batch.map((record) => record.jobId))) {
    if ((await deps.ledger.getJob(jobId))?.kind === 'adopt') adoptions.add(jobId);
  }
  return adoptions;
}

/** Queues quarantined records again. They are worked on like any chunk, but not counted as progress. */
export async function retryQuarantined(
  deps: Deps,
  records: readonly QuarantinedRecord[],
  chunkSize: number,
): Promise<number> {
  const groups = new Map<string, QuarantinedRecord[]>();
  for (const record of records) {
    const group = `${record.jobId} ${record.recordSet}`;
    const list = groups.get(group);
    if (list === undefined) groups.set(group, [record]);
    else list.push(record);
  }
  let sent = 0;
  for (const group of groups.values()) {
    const [first] = group;
    if (first === undefined) continue;
    const keys = new Map(group.map(({ recordId }) => [JSON.stringify(recordId), [...recordId]]));
    const list = [...keys.values()];
    for (let i = 0; i < list.length; i += chunkSize) {
      const { jobId, tenant, recordSet } = first;
      await deps.queue.send([
        { v: 1, jobId, tenant, recordSet, progress: null, keys: list.slice(i, i + chunkSize) },
      ]);
    }
    sent += list.length;
  }
  return sent;
}
