import type pg from 'pg';
import { exportChains } from '../../shared/audit/export-chains.ts';
import { verifyChains } from '../../shared/audit/verify-all.ts';
import { verifyCertificate } from '../../shared/certificates/verify-certificate.ts';
import { createConfiguredKeyring } from '../../shared/deps/compose.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { createFieldCipher } from '../../shared/keyring/field-cipher.ts';
import type { KeyVersion, TenantKey } from '../../shared/keyring/key.ts';
import { readProgress } from '../../shared/rotation/progress.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { countKey } from '../cli/count-key.ts';
import { checkFence, selectFences } from '../cli/fences.ts';
import { FIELDS, PURPOSE, RECORD_SET } from '../demo/records.ts';
import { matches, openRow } from '../demo/sealed-row.ts';
import { describe, tenantOf } from './application.ts';
import { type Journal, judge } from './journal.ts';

/** What must hold when nothing breaks any more and nobody writes. Each returns what does not, in words. */

export interface Checked {
  readonly records: number;
  readonly destroyed: number;
  readonly problems: readonly string[];
}

export interface CheckOptions {
  readonly deps: Deps;
  readonly pool: pg.Pool;
  readonly journal: Journal;
  readonly tenants: number;
  /** Rotations whose counts are to be looked at. */
  readonly rotations: readonly Job[];
  readonly fenced: boolean;
  /** No purge is under way. */
  readonly purgesEnded: boolean;
  /** Versions whose certificates were verified before. */
  readonly certified: Set<string>;
}

export async function checkAll(options: CheckOptions): Promise<Checked> {
  const { deps } = options;
  const { records, problems } = await checkRecords(options);
  const keys = await deps.ledger.scanKeys();
  const stored = await countInSql(options.pool);
  problems.push(...checkKeys(keys, stored, options.rotations));
  problems.push(...(await checkCensus(deps, keys, stored)));
  problems.push(...(await checkCounts(options)));
  problems.push(...(await checkAudit(deps)));
  problems.push(...(await checkCertificates(options, keys)));
  if (options.fenced) problems.push(...(await checkFences(deps, keys)));
  const destroyed = keys.flatMap(({ versions }) => Object.values(versions)).filter(isDestroyed).length;
  return { records, destroyed, problems };
}

/** Every record is what was committed last, and opens, for an application that has cached nothing. */
async function checkRecords({ deps, pool, journal, tenants }: CheckOptions) {
  const problems: string[] = [];
  const cipher = createFieldCipher({ keyring: createConfiguredKeyring(deps), purposes: () => PURPOSE });
  const { rows } = await pool.query('SELECT id, generation, email_enc, phone_enc, note_enc FROM clients');
  const found = new Map<number, { generation: number }>(rows.map((row) => [Number(row.id), row]));
  for (const id of journal.ids()) {
    const row = found.get(id) ?? null;
    try {
      const values = row === null ? [] : await openRow(cipher, id, tenantOf(id, tenants), row);
      const state = row && { generation: row.generation, opensToIt: matches(id, row.generation, values) };
      const problem = judge(journal.bounds(id), state);
      if (problem !== null) problems.push(`record ${id} ${problem}`);
      else if (row !== null) journal.stands(id, row.generation);
    } catch (error) {
      problems.push(`record ${id} does not open: ${describe(error).code}`);
    }
    found.delete(id);
  }
  for (const id of found.keys()) problems.push(`record ${id} was never written`);
  return { records: rows.length, problems };
}

/** Values by `<keyId>/<version>`, read from the bytes by nothing of Keyturn's own. */
type Stored = ReadonlyMap<string, number>;

/** The kid is 20 bytes, 42 from the end of an envelope: the key's id and a big-endian version. docs/envelope.md. */
const COUNT = `
  SELECT encode(substr(kid, 1, 16), 'hex') AS key, ('x' || encode(substr(kid, 17, 4), 'hex'))::bit(32)::int AS version,
    count(*)::int AS count
  FROM (SELECT substr(value, length(value) - 61, 20) AS kid
        FROM clients, LATERAL (VALUES ${FIELDS.map((field) => `(${field}_enc)`).join()}) AS fields (value)) AS kids
  GROUP BY 1, 2`;

async function countInSql(pool: pg.Pool): Promise<Stored> {
  const { rows } = await pool.query(COUNT);
  return new Map(rows.map(({ key, version, count }) => [`${key}/${version}`, count]));
}

function nameOf({ keyId }: TenantKey, version: number): string {
  return `${keyId.replaceAll('-', '')}/${version}`;
}

function checkKeys(keys: readonly TenantKey[], stored: Stored, rotations: readonly Job[]): string[] {
  const problems: string[] = [];
  const known = new Map(
    keys.flatMap((key) =>
      Object.values(key.versions).map((version) => [nameOf(key, version.version), version]),
    ),
  );
  for (const [name, count] of stored) {
    const state = known.get(name)?.state;
    if (state === undefined || state === 'DESTROYED' || state === 'PRE_ACTIVE')
      problems.push(`${count} values name version ${name}, which is ${state ?? 'unknown'}`);
  }
  for (const { tenant, active, rotationId, versions } of keys) {
    const all = Object.values(versions).filter(({ state }) => state === 'ACTIVE');
    if (all.length !== 1 || all[0]?.version !== active)
      problems.push(
        `${tenant}: version ${active} is the active one, and ACTIVE are ${all.map(({ version }) => version)}`,
      );
    if (rotationId !== null) problems.push(`${tenant}: its lock is held by ${rotationId}, and nothing runs`);
  }
  for (const { jobId, status, census } of rotations) {
    if (status === 'CANCELLED') continue;
    if (status !== 'COMPLETED') problems.push(`rotation ${jobId} is ${status}`);
    else if (census === null || census.stale + census.malformed + census.foreign > 0)
      problems.push(`rotation ${jobId} is COMPLETED, and its census found ${JSON.stringify(census)}`);
  }
  return problems;
}

/** The census by `keyturn census` is the count in SQL, and has nothing but the active version. */
async function checkCensus(deps: Deps, keys: readonly TenantKey[], stored: Stored): Promise<string[]> {
  const problems: string[] = [];
  for (const key of keys) {
    const census = await countKey(deps, key, { reach: 'tenant', search: false, takenBy: 'chaos' });
    const counted = census.coverage[RECORD_SET]?.versions ?? {};
    const versions = new Set([...Object.keys(counted), ...Object.keys(key.versions)].map(Number));
    for (const version of versions) {
      const direct = stored.get(nameOf(key, version)) ?? 0;
      const byCensus = counted[String(version)] ?? 0;
      const where = `${key.tenant}, version ${version}`;
      if (byCensus !== direct) problems.push(`${where}: the census has ${byCensus} values, SQL ${direct}`);
      if (version !== key.active && direct > 0)
        problems.push(`${where}: ${direct} values, and all rotations have ended; active is ${key.active}`);
    }
  }
  return problems;
}

/** planned = rewrapped + skipped + quarantined + remaining, none below 0, and none listed twice in a round. */
async function checkCounts({ deps, rotations, journal, tenants }: CheckOptions): Promise<string[]> {
  const problems: string[] = [];
  for (const job of rotations) {
    const records = journal.ids().filter((id) => tenantOf(id, tenants) === job.tenant).length;
    for (const counts of await readProgress(deps, job)) {
      const { planned, rewrapped, skipped, quarantined, remaining } = counts;
      const parts = [rewrapped, skipped, quarantined, remaining];
      const sum = parts.reduce((total, part) => total + part, 0);
      if (sum !== planned || parts.some((part) => part < 0) || planned > records || quarantined > 0)
        problems.push(`rotation ${job.jobId} of ${records} records: ${JSON.stringify(counts)}`);
    }
  }
  return problems;
}

async function checkAudit(deps: Deps): Promise<string[]> {
  await exportChains(deps);
  const problems: string[] = [];
  for await (const { findings } of verifyChains(deps, null, [await deps.signer.publicKey()]))
    problems.push(...findings.map(({ code, message }) => `audit verify: ${code}: ${message}`));
  return problems;
}

/** By a purge. A version that was never active is given up with its rotation. */
function isDestroyed({ state, activatedAt }: KeyVersion): boolean {
  return state === 'DESTROYED' && activatedAt !== null;
}

async function checkCertificates(
  { deps, certified, purgesEnded }: CheckOptions,
  keys: readonly TenantKey[],
): Promise<string[]> {
  const problems: string[] = [];
  const publicKeys = [await deps.signer.publicKey()];
  for (const key of keys) {
    for (const { version } of Object.values(key.versions).filter(isDestroyed)) {
      const name = nameOf(key, version);
      if (certified.has(name)) continue;
      const stored = await deps.ledger.getCertificate(key.keyId, version);
      // The purge that destroyed it may be about to issue the certificate.
      if (stored === null) {
        if (purgesEnded) problems.push(`version ${name} is destroyed, and has no certificate`);
        continue;
      }
      const report = await verifyCertificate(stored.jws, publicKeys, deps.config.approvals.approvers);
      problems.push(...report.problems.map((problem) => `certificate of ${name}: ${problem}`));
      certified.add(name);
    }
  }
  return problems;
}

async function checkFences(deps: Deps, keys: readonly TenantKey[]): Promise<string[]> {
  const problems: string[] = [];
  for (const set of selectFences(deps, RECORD_SET)) {
    const finding = await checkFence(deps, set, keys);
    problems.push(...finding.problems.map((problem) => `fence: ${problem}`));
  }
  return problems;
}
