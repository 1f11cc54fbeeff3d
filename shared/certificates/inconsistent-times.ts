import type { Certificate } from './certificate.ts';

/**
 * The order of all times in a certificate. Times that one write after another has put into the key are compared exactly;
 * all others come from different machines, whose clocks may differ a little.
 */

/** Milliseconds. */
const CLOCKS_DIFFER = 300_000;

type Moment = readonly [what: string, at: string | null];

export function inTimes(certificate: Certificate): string[] {
  const { times, census, purge, issuedAt, soakSeconds } = certificate;
  const fenced: Moment = ['fenced', times.destroyPendingAt];
  const authorized: Moment = ['authorized', times.destroyAuthorizedAt];
  const erased: Moment = ['erased', times.destroyedAt];
  const counted: Moment = ['counted', census.takenAt];
  const life: readonly Moment[] = [
    ['made', times.createdAt],
    ['proved', times.provedAt],
    ['in use', times.activatedAt],
    ['out of use', times.retiringAt],
    ['counted clean', times.censusCleanAt],
    ['retired', times.retiredAt],
    ['past its grace', times.graceEndedAt],
    fenced,
    counted,
    erased,
    ['certified', issuedAt],
  ];
  return [
    ...life.flatMap(([what, at]) => (at === null ? [`It does not say when the version was ${what}`] : [])),
    ...(times.destroyAuthorizedAt === null ? ['It does not say when the destruction was authorized'] : []),
    ...outOfOrder(life, CLOCKS_DIFFER),
    ...outOfOrder([['asked to be purged', purge.requestedAt], fenced], CLOCKS_DIFFER),
    ...outOfOrder([fenced, authorized, erased], 0),
    ...inSoak(times, soakSeconds),
    ...certificate.rotations.flatMap((rotation) => inRotation(certificate, rotation)),
    ...inApprovalTimes(certificate),
  ];
}

function outOfOrder(moments: readonly Moment[], apart: number): string[] {
  const problems: string[] = [];
  let latest: readonly [what: string, at: number] | null = null;
  for (const [what, at] of moments) {
    if (at === null) continue;
    const time = Date.parse(at);
    if (latest !== null && time < latest[1] - apart)
      problems.push(`It was ${what} before it was ${latest[0]}`);
    if (latest === null || time > latest[1]) latest = [what, time];
  }
  return problems;
}

function inSoak(
  { destroyPendingAt, destroyAuthorizedAt }: Certificate['times'],
  soakSeconds: number | null,
): string[] {
  if (destroyPendingAt === null || destroyAuthorizedAt === null) return [];
  const between = Math.floor((Date.parse(destroyAuthorizedAt) - Date.parse(destroyPendingAt)) / 1000);
  return soakSeconds === between ? [] : [`It says ${soakSeconds} s of rehearsal, and its times ${between} s`];
}

/** One that left the version was asked for while it was in use; any other, afterwards. */
function inRotation(
  { version, times }: Certificate,
  { jobId, from, requestedAt, completedAt }: Certificate['rotations'][number],
): string[] {
  const asked: Moment = [`brought away from by ${jobId}`, requestedAt];
  const left: Moment = ['out of use', times.retiringAt];
  return [
    ...outOfOrder(from === version ? [asked, left] : [left, asked], CLOCKS_DIFFER),
    ...(completedAt === times.retiredAt
      ? []
      : [`${jobId} was complete at another time than the version was retired`]),
  ];
}

function inApprovalTimes({ times, approvals: { request, given } }: Certificate): string[] {
  if (request === null) return [];
  const asked: Moment = ['brought before people', request.requestedAt];
  const authorized: Moment = ['authorized', times.destroyAuthorizedAt];
  const expired: Moment = ['too late to be approved', request.expiresAt];
  return [
    ...outOfOrder([['fenced', times.destroyPendingAt], asked, authorized], CLOCKS_DIFFER),
    ...outOfOrder([authorized, expired], 0),
    ...given.flatMap(({ approver, at }) => [
      ...outOfOrder([asked, [`approved by ${approver}`, at], authorized], CLOCKS_DIFFER),
      ...outOfOrder([[`approved by ${approver}`, at], expired], 0),
    ]),
  ];
}
