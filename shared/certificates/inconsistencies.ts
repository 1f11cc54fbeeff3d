import { isRequester, requestIdOf } from '../approvals/binding.ts';
import { digestOf } from '../signing/canonical-json.ts';
import type { Certificate, CertificateCounts } from './certificate.ts';

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
  ];
}

function inRotations({ rotations }: Certificate): string[] {
  return rotations.flatMap(({ jobId, rounds, records }) => {
    const problems = rounds.flatMap((round) => doNotSum(`Round ${round.round} of ${jobId}`, round));
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
    const { versions, foreign, malformed, tombstones, others, values } = read;
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

function inDestruction({ times, destroyed }: Certificate): string[] {
  return destroyed.effectiveAt !== null && destroyed.effectiveAt < times.destroyedAt
    ? ['It was effective before it was done']
    : [];
}
