import { isRequester, requestIdOf } from '../approvals/binding.ts';
import { digestOf } from '../signing/canonical-json.ts';
import type { Certificate, CertificateCounts } from './certificate.ts';
import { whatDestroyedMeans } from './destroyed-means.ts';
import { inTimes } from './inconsistent-times.ts';

/**
 * What in a certificate contradicts itself, in words; empty: nothing. Pure, and needs nothing but the certificate: it is
 * asked before one is signed, and again by whoever verifies it.
 */
export function findInconsistencies(certificate: Certificate): string[] {
  return [
    ...inRotations(certificate),
    ...inCensus(certificate),
    ...inApprovals(certificate),
    ...inDestruction(certificate),
    ...inTimes(certificate),
  ];
}

/**
 * What a rotation did not report on contradicts nothing: its census decided, and not its progress. It may also have left
 * another version, when this one was left behind by a rotation that was called off.
 */
function inRotations({ version, rotations }: Certificate): string[] {
  if (rotations.length === 0) return ['No rotation away from it'];
  return rotations.flatMap(({ jobId, goal, from, to, rounds, records }) => {
    const problems = rounds.flatMap((round) => doNotSum(`Round ${round.round} of ${jobId}`, round));
    if (to === version || to === 0 || (from === to) !== (goal === 'RESWEEP'))
      problems.push(`Rotation ${jobId}, from ${from} to ${to}, did not lead away from version ${version}`);
    if (rounds.some(({ round }, i) => round !== i + 1)) problems.push(`Rotation ${jobId} lacks a round`);
    problems.push(...doNotSum(`Rotation ${jobId}`, records));
    const sum = (part: 'rewrapped' | 'skipped') => rounds.reduce((total, round) => total + round[part], 0);
    const last = rounds.at(-1);
    const same =
      records.rewrapped === sum('rewrapped') &&
      records.skipped === sum('skipped') &&
      records.quarantined === (last?.quarantined ?? 0) &&
      records.remaining === (last?.remaining ?? 0);
    return same ? problems : [...problems, `The counts of rotation ${jobId} are not those of its rounds`];
  });
}

function doNotSum(
  what: string,
  { planned, rewrapped, skipped, quarantined, remaining }: CertificateCounts,
): string[] {
  const sum = rewrapped + skipped + quarantined + remaining;
  return sum === planned ? [] : [`${what}: its counts sum to ${sum}, and ${planned} were planned`];
}

function inCensus({ version, census }: Certificate): string[] {
  const problems: string[] = [];
  const found = { onVersion: 0, malformed: 0, foreign: 0 };
  for (const [recordSet, read] of Object.entries(census.coverage)) {
    const { versions, foreign, malformed, tombstones, others, values, onVersionBySearch = 0 } = read;
    if ((onVersionBySearch ?? 0) > 0)
      problems.push(`The search found ${onVersionBySearch} values of ${recordSet} on the version`);
    const ofKey = Object.values(versions).reduce((total, each) => total + each, 0);
    const sum = ofKey + foreign + malformed + tombstones + others;
    if (sum !== values)
      problems.push(`${recordSet}: its counts sum to ${sum}, and ${values} values were read`);
    found.onVersion += versions[String(version)] ?? 0;
    found.malformed += malformed;
    found.foreign += foreign;
  }
  for (const part of ['onVersion', 'malformed', 'foreign'] as const) {
    if (census[part] !== found[part])
      problems.push(`The census says ${part} ${census[part]}, and its record sets ${found[part]}`);
  }
  if (census.onVersion > 0) problems.push(`${census.onVersion} values were on the version`);
  if (census.malformed > 0) problems.push(`${census.malformed} values could not be read as envelopes`);
  if (census.reach !== 'everywhere') problems.push("The census read the tenant's rows only");
  if (Object.keys(census.coverage).length === 0) problems.push('The census read no record set');
  if (census.undeclared === null) problems.push('The census did not look for columns that nobody declared');
  const undeclared = (census.undeclared ?? []).filter(({ onVersion }) => onVersion > 0);
  for (const { store, table, column } of undeclared)
    problems.push(`${store} ${table}.${column}, which nobody declared, had values on the version`);
  return problems;
}

function inApprovals({ tenant, purpose, keyId, version, restoreEpoch, approvals }: Certificate): string[] {
  const { required, request, given } = approvals;
  const problems: string[] = [];
  const approvers = new Set(given.map(({ approver }) => approver.toLowerCase()));
  if (approvers.size !== given.length) problems.push('An approver stands twice');
  if (given.length < required) problems.push(`${given.length} approved, and ${required} were required`);
  if (request === null)
    return given.length === 0 ? problems : [...problems, 'There are approvals of nothing'];
  if (required === 0) problems.push('Approvals were asked for, and none were required');
  if (requestIdOf(request) !== request.requestId) problems.push('The request is not what its id says');
  if (digestOf(request.evidence) !== request.subject)
    problems.push('What was approved is not what its digest says');
  const same =
    request.action === 'purge' &&
    request.tenant === tenant &&
    request.purpose === purpose &&
    request.keyId === keyId &&
    request.version === version &&
    request.restoreEpoch === restoreEpoch;
  if (!same) problems.push('The approvals are for something else');
  if (given.some(({ approver }) => isRequester(approver, request.requestedBy)))
    problems.push('Who asked for it is among the approvers');
  return problems;
}

function inDestruction({ kept, times, destroyed: { how, effectiveAt } }: Certificate): string[] {
  const problems: string[] = [];
  const { destroyedAt } = times;
  const means = whatDestroyedMeans({
    ...{ keptAs: kept.as, destroyedAt },
    ...{ ledgerBackupSeconds: 0, providerDeletesAt: null },
  });
  if (how !== means.how) problems.push(`What was kept as ${kept.as} is not ${how}`);
  if (kept.as === 'WRAPPED_KEK' && kept.wrappings.length === 0) problems.push('Nothing had wrapped it');
  if (effectiveAt === null && how === 'ERASED') problems.push('It was erased, and is never effective');
  if (effectiveAt !== null && (how === 'LOGICALLY_RETIRED' || how === 'NOT_DESTROYED'))
    problems.push(`It is ${how}, and effective`);
  if (effectiveAt !== null && Date.parse(effectiveAt) < Date.parse(destroyedAt))
    problems.push('It was effective before it was done');
  return problems;
}
