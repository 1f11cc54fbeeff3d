import { decodeJwt, type JWK } from 'jose';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import { anchorSchema } from './anchor.ts';
import { folderOf, isAnchorName } from './archive-names.ts';
import { SERVICE } from './outbox.ts';
import { readSegment } from './segment.ts';
import { type VerifyDeps, type VerifyReport, verifyArchive, verifyChain } from './verify-chain.ts';

/**
 * Every tenant's chain, or the named one's, one after the other: the largest is held in memory whole. Whose chains there
 * are is asked of whatever knows: anybody who writes the table can take an item off a list, so that the keys are read from
 * the table itself, and the archive says whose chains it has. Throws STATE_FORGED, after the last chain, when a key's item
 * cannot be verified.
 */
export async function* verifyChains(
  deps: VerifyDeps,
  tenant: string | null,
  publicKeys: readonly JWK[],
): AsyncGenerator<VerifyReport> {
  let damaged: Error | null = null;
  const scanned = await deps.ledger.scanKeys().catch((error: unknown) => {
    if (!(error instanceof KeyturnError) || error.code !== 'STATE_FORGED') throw error;
    damaged = error;
    return deps.ledger.listKeys();
  });
  const keys = Map.groupBy(scanned, (key) => key.tenant);
  const jobs = Map.groupBy(await deps.ledger.listJobs(), (job) => job.tenant);
  const marks = (await deps.audit.listExportMarks()).map((mark) => mark.tenant);
  const restores = await deps.ledger.listRestores();
  const requests = Map.groupBy(await listRequests(deps), (request) => request.tenant);
  const known = [...keys.keys(), ...jobs.keys(), ...requests.keys(), ...marks];
  const tenants = tenant === null ? await everyTenant(deps, known, restores.length > 0) : [tenant];
  for (const name of tenants) {
    const items = {
      keys: keys.get(name) ?? [],
      jobs: jobs.get(name) ?? [],
      restores: name === SERVICE ? restores : [],
      requestIds: (requests.get(name) ?? []).map(({ requestId }) => requestId),
    };
    yield await verifyChain(deps, name, items, publicKeys);
  }
  if (damaged !== null) throw damaged;
}

/** Without their evidence, which is the most of them. */
async function listRequests({ ledger }: VerifyDeps) {
  const requests = await ledger.listApprovalRequests();
  return requests.map(({ requestId, tenant }) => ({ requestId, tenant }));
}

async function everyTenant(
  { archive, audit }: VerifyDeps,
  known: readonly string[],
  restored: boolean,
): Promise<readonly string[]> {
  const own = restored || (await audit.lastAuditEntry(SERVICE)) !== null ? [SERVICE] : [];
  return [...new Set([...known, ...own, ...(await archivedTenants(archive))])].sort();
}

/** The same from the archive alone. */
export async function* verifyArchives(
  archive: Deps['archive'],
  tenant: string | null,
  publicKeys: readonly JWK[],
): AsyncGenerator<VerifyReport> {
  const tenants = tenant === null ? await archivedTenants(archive) : [tenant];
  for (const name of tenants) yield await verifyArchive(archive, name, publicKeys);
}

/** Whose chains the archive holds. What it holds of somebody that can no longer be told is given by its folder. */
async function archivedTenants(archive: Deps['archive']): Promise<readonly string[]> {
  const folders = Map.groupBy(await archive.list(''), (name) => name.slice(0, name.lastIndexOf('/')));
  const found = new Set<string>();
  for (const [folder, names] of folders) {
    const own = folder.replace(/^anchors\//, '');
    const tenant = await tenantOf(archive, names, own);
    found.add(tenant ?? decodeFolder(own));
  }
  return [...found].sort();
}

/** As an object says that belongs into that folder. */
async function tenantOf(
  archive: Deps['archive'],
  names: readonly string[],
  folder: string,
): Promise<string | null> {
  for (const name of names) {
    const bytes = await archive.get(name);
    const tenant = bytes === null ? null : isAnchorName(name) ? anchored(bytes) : recorded(bytes);
    if (tenant !== null && folderOf(tenant) === folder) return tenant;
  }
  return null;
}

function anchored(bytes: Uint8Array): string | null {
  try {
    return anchorSchema.safeParse(decodeJwt(new TextDecoder().decode(bytes))).data?.tenant ?? null;
  } catch {
    return null;
  }
}

function recorded(bytes: Uint8Array): string | null {
  return readSegment(bytes).find((entry) => entry !== null)?.tenant ?? null;
}

function decodeFolder(folder: string): string {
  if (folder === folderOf(SERVICE)) return SERVICE;
  try {
    return decodeURIComponent(folder);
  } catch {
    return folder;
  }
}
