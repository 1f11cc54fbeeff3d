import type { Certificate } from '../../shared/certificates/certificate.ts';
import type { CertificateReport } from '../../shared/certificates/verify-certificate.ts';
import { coverageParts } from './coverage-words.ts';
import { EXCLUSION_WORDS, SEARCH_LIMIT } from './exclusion-words.ts';
import { count, counted, duration, time } from './format.ts';
import { keyName } from './job-words.ts';

/** A retirement certificate as a page for auditors. Pure. */

export function certificatePage(certificate: Certificate): string[] {
  return [
    `Retirement certificate: version ${certificate.version} of the key of ${keyName(certificate)}`,
    `  key ${certificate.keyId}, issued ${time(certificate.issuedAt)}`,
    '',
    ...destruction(certificate),
    '',
    ...life(certificate),
    '',
    ...rotations(certificate),
    ...census(certificate),
    '',
    ...approvals(certificate),
  ];
}

function destruction({ destroyed, kept }: Certificate): string[] {
  const from = destroyed.effectiveAt === null ? '' : `, effective ${time(destroyed.effectiveAt)}`;
  const whose = kept.rootKeyOf === 'TENANT' ? "the tenant's own root key" : 'a root key of the stage';
  const materials = kept.wrappings.map(
    ({ rootKeyId, materialId }) => `${rootKeyId}${materialId === null ? '' : ` (material ${materialId})`}`,
  );
  return [
    `What became of it: ${destroyed.how}${from}`,
    `  ${destroyed.statement}`,
    `  It was wrapped by ${whose} (${kept.provider}): ${materials.join(', ') || 'none'}`,
  ];
}

function life({ times, soakSeconds, purge, holds }: Certificate): string[] {
  const rows: readonly (readonly [string, string | null])[] = [
    ['made', times.createdAt],
    ['proved', times.provedAt],
    ['began to encrypt', times.activatedAt],
    ['ended to encrypt', times.retiringAt],
    ['clean census', times.censusCleanAt],
    ['retired', times.retiredAt],
    ['grace was over', times.graceEndedAt],
    ['fenced', times.destroyPendingAt],
    ['authorized', times.destroyAuthorizedAt],
    ['erased', times.destroyedAt],
  ];
  const soak = soakSeconds === null ? '' : ` after ${duration(soakSeconds)} in which nothing asked for it`;
  return [
    'Its life',
    ...rows.map(([name, at]) => `  ${name.padEnd(18)}${at === null ? '-' : time(at)}`),
    `  Destroyed by purge ${purge.jobId}, asked for by ${purge.requestedBy}${soak}.`,
    ...holds.map(
      ({ reason, store, by, until }) =>
        `  A hold (${reason}${store === null ? '' : ` of ${store}`}, by ${by}) had ended${until === null ? '' : ` on ${time(until)}`}.`,
    ),
  ];
}

function rotations({ rotations: jobs }: Certificate): string[] {
  return jobs.flatMap(({ jobId, from, to, requestedBy, completedAt, rounds, records }) => [
    `Rotation ${from} -> ${to}, job ${jobId}, asked for by ${requestedBy}, completed ${time(completedAt)}`,
    `  ${counted(records.planned, 'record')} = ${count(records.rewrapped)} rewrapped + ${count(records.skipped)} skipped + ` +
      `${count(records.quarantined)} quarantined + ${count(records.remaining)} remaining, in ${counted(rounds.length, 'round')}`,
    '',
  ]);
}

function census({ census: found, version }: Certificate): string[] {
  const read = Object.entries(found.coverage).map(([recordSet, each]) => {
    const where = `${each.store} ${each.table} (${each.columns.join(', ')})`;
    return `  read      ${recordSet}: ${where}: ${counted(each.rows, 'row')}, ${counted(each.values, 'value')}: ${coverageParts(each).join(', ') || 'none of this key'}`;
  });
  const excluded = found.excluded.map(({ store, table, columns, why, more }) => {
    const what = [store, table, columns.length === 0 ? '' : `(${columns.join(', ')})`]
      .filter(Boolean)
      .join(' ');
    const others = more === undefined ? '' : ` and ${counted(more, 'other table')}`;
    return `  not read  ${what}${others}: ${EXCLUSION_WORDS[why]}`;
  });
  const limit = found.undeclared === null ? [] : [`  not read  ${SEARCH_LIMIT}`];
  const undeclared =
    found.undeclared === null
      ? 'Columns that nobody declared were not looked for.'
      : found.undeclared.length === 0
        ? 'Columns that nobody declared were looked for: none holds envelopes.'
        : `${counted(found.undeclared.length, 'column')} that nobody declared ${found.undeclared.length === 1 ? 'holds' : 'hold'} envelopes.`;
  const reach = found.reach === 'everywhere' ? 'every row of these tables' : "the tenant's rows";
  return [
    `Census at ${time(found.takenAt)}, ${reach}: ${counted(found.onVersion, 'value')} on version ${version}`,
    ...read,
    ...excluded,
    ...limit,
    `  ${undeclared}`,
    ...secondCount(found, version),
  ];
}

function secondCount({ coverage }: Certificate['census'], version: number): string[] {
  const counts = Object.values(coverage).map(({ onVersionBySearch }) => onVersionBySearch);
  if (counts.includes(undefined)) return [];
  const known = counts.filter((each) => typeof each === 'number');
  const large = Object.keys(coverage).filter((name) => coverage[name]?.onVersionBySearch === null);
  return [
    ...(known.length === 0
      ? []
      : [
          `  The search for them counted these values once more: ${known.reduce((a, b) => a + b, 0)} on version ${version}.`,
        ]),
    ...(large.length === 0
      ? []
      : [`  Too large for that, and counted in ranges of keys alone: ${large.join(', ')}.`]),
  ];
}

function approvals({ approvals: { required, request, given } }: Certificate): string[] {
  if (request === null) return ['Approvals: none was required.'];
  return [
    `Approvals: ${required} required, asked for by ${request.requestedBy} at ${time(request.requestedAt)}`,
    `  request ${request.requestId}`,
    ...given.map(
      ({ approver, at, breakGlass }) => `  ${approver} at ${time(at)}${breakGlass ? ' (break-glass)' : ''}`,
    ),
  ];
}

export function reportLines({ verified, problems, notVerified }: CertificateReport): string[] {
  return [
    ...verified.map((each) => `  verified      ${each}`),
    ...problems.map((each) => `  WRONG         ${each}`),
    ...notVerified.map((each) => `  not verified  ${each}`),
  ];
}
