import { nameOfColumn } from '../../shared/census/undeclared.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { CensusResult, StoredCensus, UndeclaredColumn } from '../../shared/rotation/rotation.ts';
import { EXCLUSION_WORDS, SEARCH_LIMIT } from './exclusion-words.ts';
import { count, counted, table, time } from './format.ts';
import { keyName } from './job-words.ts';

/** A census in words. It says what was read and what was not; never that a version is unused. Pure. */

export function censusReport(
  key: Pick<TenantKey, 'tenant' | 'purpose'> &
    Partial<Pick<TenantKey, 'versions'>> & {
      /** The one that it is about, such as that of a purge; left out: all alike. */
      readonly version?: number;
    },
  result: CensusResult,
): string[] {
  const { coverage, reach, takenAt } = result;
  if (Object.keys(coverage).length === 0) {
    return [
      `No declared record set holds fields of ${keyName(key)}: nothing was read.`,
      ...undeclaredLines(result, key.version),
      ...excludedLines(result),
    ];
  }
  const rows = Object.entries(coverage).flatMap(([recordSet, found]) => {
    // What the versions' states were then is not known where they are not given: there is no such column.
    const line = (version: string, state: string, values: number) =>
      key.versions === undefined
        ? [version === '-' ? state : version, count(values)]
        : [version, state, count(values)];
    const lines = Object.entries(found.versions).map(([version, values]) =>
      line(version, key.versions?.[version]?.state ?? 'unknown', values),
    );
    if (found.foreign > 0) lines.push(line('-', 'another key', found.foreign));
    if (found.malformed > 0) lines.push(line('-', 'no envelope', found.malformed));
    if (found.tombstones > 0) lines.push(line('-', 'given up', found.tombstones));
    if (found.others > 0) lines.push(line('-', 'of others', found.others));
    if (lines.length === 0) lines.push(line('-', 'none', 0));
    const first = [`${found.store} ${found.table}`, recordSet, count(found.rows), count(found.values)];
    return lines.map((cells, i) => [...(i === 0 ? first : ['', '', '', '']), ...cells]);
  });
  const whose = reach === 'everywhere' ? 'every row of these tables' : `the rows of ${key.tenant}`;
  const headings = [
    'table',
    'record set',
    '>rows',
    '>values',
    '>version',
    ...(key.versions === undefined ? [] : ['state']),
    '>found',
  ];
  return [
    `Census of ${keyName(key)} at ${time(takenAt)}. These were read, ${whose}:`,
    ...table(headings, rows).map((line) => `  ${line}`),
    ...undeclaredLines(result, key.version),
    ...excludedLines(result),
  ];
}

function undeclaredLines({ undeclared }: CensusResult, version: number | undefined): string[] {
  if (undeclared === null) return [];
  if (undeclared.length === 0) return ['No column that nobody declares was found to hold envelopes.'];
  return [
    'These hold envelopes, and no record set declares them:',
    ...undeclared.map((column) => `  ${undeclaredLine(column, version)}`),
  ];
}

export function undeclaredLine(column: UndeclaredColumn, version?: number): string {
  const { envelopes, ofKey, onVersion, materialized, more } = column;
  const name =
    more === undefined ? nameOfColumn(column) : `${counted(more, 'more column')} of ${column.store}`;
  const copy = materialized ? ', a materialized view' : '';
  const on = version === undefined ? '' : `, ${count(onVersion)} on version ${version}`;
  const of = ofKey === 0 ? 'none of this key' : `${count(ofKey)} of this key${on}`;
  return `${name}${copy}: ${counted(envelopes, 'envelope')}, ${of}`;
}

function excludedLines({ excluded, undeclared }: CensusResult): string[] {
  const limit = undeclared === null ? [] : [`  ${SEARCH_LIMIT}`];
  if (excluded.length + limit.length === 0) return [];
  const lines = excluded.map(({ store, table: name, columns, why, more }) => {
    const which = name === '' ? '' : ` ${name}${columns.length === 0 ? '' : ` (${columns.join(', ')})`}`;
    const others = more === undefined ? '' : ` ${counted(more, 'more table')}`;
    return `  ${store}${which}${others}: ${EXCLUSION_WORDS[why]}`;
  });
  return ['Not read:', ...lines, ...limit];
}

/** Why a census is no proof that the key is on its active version alone; none: it is. */
export function doubts(result: CensusResult, ownRead: boolean): string[] {
  const reasons: string[] = [];
  if (!ownRead) reasons.push('no record set of the key was read');
  if (result.stale > 0) reasons.push(`${counted(result.stale, 'value')} not on the active version`);
  const lost = result.excluded.filter(({ why }) => why === 'NOT_DECLARED');
  for (const { store, table: name, columns } of lost) {
    reasons.push(`${store} ${name} (${columns.join(', ')}), which the key served, was not read`);
  }
  for (const column of result.undeclared ?? []) {
    if (column.ofKey > 0) reasons.push(`${nameOfColumn(column)} holds envelopes and is not declared`);
  }
  return reasons;
}

/** Stable JSON of a census that was kept. */
export function censusJson({ result, ...about }: StoredCensus): object {
  return { ...about, ...result };
}
