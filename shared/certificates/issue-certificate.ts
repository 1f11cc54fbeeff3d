import { readRequest } from '../approvals/check-approvals.ts';
import type { Deps } from '../deps/deps.ts';
import { CertificateError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { getKey, timestamp } from '../rotation/change.ts';
import { noEarlierThan } from '../rotation/no-earlier.ts';
import { readProgress, sumProgress } from '../rotation/progress.ts';
import type { Job } from '../rotation/rotation.ts';
import {
  CERTIFICATE_TYPE,
  type Certificate,
  certificateSchema,
  type StoredCertificate,
} from './certificate.ts';
import { whatDestroyedMeans } from './destroyed-means.ts';
import { findInconsistencies } from './inconsistencies.ts';

/**
 * The certificate of the version that a purge has destroyed. Repeating it returns the one that was issued. Throws
 * CERTIFICATE_INCONSISTENT, and signs nothing, when what the ledger knows contradicts itself.
 */
export async function issueCertificate(deps: Deps, job: Job): Promise<StoredCertificate> {
  const issued = await deps.ledger.getCertificate(job.keyId, job.from);
  if (issued !== null) return issued;
  const certificate = await makeCertificate(deps, job);
  const problems = findInconsistencies(certificate);
  if (problems.length > 0) {
    throw new CertificateError(
      'CERTIFICATE_INCONSISTENT',
      `No certificate for version ${job.from} of key ${job.keyId}, since it would contradict itself: ${problems.join('; ')}`,
      {
        remedy: 'The version is destroyed. Find out who or what changed the ledger: `keyturn audit verify`.',
      },
    );
  }
  const { tenant, purpose, keyId, version, issuedAt } = certificate;
  const jws = await deps.signer.sign(CERTIFICATE_TYPE, certificate);
  // Of two that sign at once, the first to be stored is the certificate.
  const stored = await deps.ledger.createCertificate({ tenant, purpose, keyId, version, issuedAt, jws });
  return stored.item;
}

async function makeCertificate(deps: Deps, job: Job): Promise<Certificate> {
  const key = await getKey(deps, job.tenant, job.purpose);
  const version = versionOf(key, job.from);
  const { destroyedAt } = version;
  if (job.census === null || destroyedAt === null) {
    throw new CertificateError(
      'CERTIFICATE_INCONSISTENT',
      `Version ${job.from} of key ${job.keyId} is ${version.state}, and its purge ${job.census === null ? 'has no census' : 'goes on'}`,
    );
  }
  const retiredBy = version.retiredBy === null ? null : await deps.ledger.getJob(version.retiredBy);
  const kept = howKept(deps, key, version);
  const parsed = certificateSchema.safeParse({
    certificateVersion: 1,
    issuedAt: timestamp(noEarlierThan(deps.clock.now(), [destroyedAt])),
    tenant: key.tenant,
    purpose: key.purpose,
    keyId: key.keyId,
    version: version.version,
    kept,
    times: timesOf(version, retiredBy),
    rotations: retiredBy === null ? [] : [await rotationOf(deps, retiredBy)],
    purge: {
      jobId: job.jobId,
      requestedBy: job.requestedBy,
      requestedAt: job.requestedAt,
      attempts: job.attempt,
    },
    soakSeconds: secondsBetween(version.destroyPendingAt, version.destroyAuthorizedAt),
    census: job.census,
    restoreEpoch: job.restoreEpoch,
    holds: holdsOn(key, version.version),
    approvals: await approvalsOf(deps, version),
    destroyed: whatDestroyedMeans({
      keptAs: kept.as,
      destroyedAt,
      // Of the ledger, wherever the root key is: a keystore file may wrap what stands in a table of AWS.
      ledgerBackupSeconds: deps.ledgerBackupSeconds,
      providerDeletesAt: null,
    }),
  });
  // Checked like what comes from outside: nothing is signed that its own schema does not take.
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  throw new CertificateError('CERTIFICATE_INCONSISTENT', `Version ${job.from} of key ${job.keyId}: ${where}`);
}

function howKept({ config }: Pick<Deps, 'config'>, key: TenantKey, version: KeyVersion): Certificate['kept'] {
  const { provider } = config;
  const ofTenant =
    provider.type === 'aws-kms' && Object.hasOwn(provider.tenantRootKeys, key.tenant)
      ? provider.tenantRootKeys[key.tenant]
      : null;
  const wrappings = [...(version.erased ?? [])];
  const isTenants = wrappings.length > 0 && wrappings.every(({ rootKeyId }) => rootKeyId === ofTenant);
  // The one way there is: providers wrap KEKs, and keep none of them.
  return {
    as: 'WRAPPED_KEK',
    provider: version.provider,
    rootKeyOf: isTenants ? 'TENANT' : 'STAGE',
    wrappings,
  };
}

function timesOf(version: KeyVersion, retiredBy: Job | null): object {
  const { createdAt, provedAt, activatedAt, retiringAt, purgeNotBefore } = version;
  const { destroyPendingAt, destroyAuthorizedAt, destroyedAt } = version;
  return {
    ...{ createdAt, provedAt, activatedAt, retiringAt },
    censusCleanAt: retiredBy?.census?.takenAt ?? null,
    retiredAt: retiredBy?.completedAt ?? null,
    graceEndedAt: purgeNotBefore,
    ...{ destroyPendingAt, destroyAuthorizedAt, destroyedAt },
  };
}

async function rotationOf(deps: Deps, job: Job): Promise<object> {
  const { jobId, goal, mode, from, to, requestedBy, requestedAt, completedAt } = job;
  const progress = await readProgress(deps, job);
  const rounds = progress.map(({ round, planned, rewrapped, skipped, quarantined, remaining }) => {
    return { round, planned, rewrapped, skipped, quarantined, remaining };
  });
  const { listed: _, ...records } = sumProgress(progress);
  return { jobId, goal, mode, from, to, requestedBy, requestedAt, completedAt, rounds, records };
}

function holdsOn(key: TenantKey, version: number): Certificate['holds'] {
  return key.holds
    .filter(({ versions }) => versions.includes(version))
    .map(({ holdId, reason, store, by, at, until }) => ({ holdId, reason, store, by, at, until }));
}

/** Those that were verified when it was authorized: a configuration that changed since changes nothing of that. */
async function approvalsOf(deps: Deps, { approvedBy, agreement }: KeyVersion): Promise<object> {
  const { required, approvers } = agreement ?? { required: 0, approvers: [] };
  if (approvedBy === null) return { required, request: null, given: [] };
  const request = await readRequest(deps, approvedBy);
  const given = (await deps.ledger.listApprovals(approvedBy))
    .filter(({ approver }) => approvers.includes(approver))
    .map(({ approver, breakGlass, at, jws }) => ({ approver, breakGlass, at, jws }));
  return { required, request, given };
}

function secondsBetween(from: string | null, to: string | null): number | null {
  if (from === null || to === null) return null;
  return Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / 1000));
}
