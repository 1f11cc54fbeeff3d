import { listOf, numberOf, numbersOf, type Parts, partsOf, textOf } from '../parts.ts';
import type { MakeRule } from '../rule.ts';

/** planned = rewrapped + skipped + quarantined + remaining, and each chunk counts once. */

interface Page {
  readonly planned: number;
  readonly counted: number;
  readonly done: readonly number[];
  readonly next: unknown;
}

export const progress: MakeRule = (_, find) => {
  const pages = new Map<string, Page>();
  const lowWaters = new Map<string, number>();

  function seePage(id: string, value: unknown): void {
    const parts = partsOf(value);
    const plan = partsOf(parts['plan']);
    const chunks = listOf(plan['chunks']).map((chunk) => numberOf(partsOf(chunk)['records']));
    const page = {
      planned: sum(chunks),
      counted: countedOf(parts),
      done: numbersOf(parts['done']),
      next: plan['next'],
    };
    const name = pageName(textOf(plan['jobId']), plan['round'], plan['segment'], plan['page']);
    const before = pages.get(name);
    pages.set(name, page);
    if (numberOf(parts['planned']) !== page.planned) find('15', `page ${id} plans other than its chunks do`);
    if (new Set(page.done).size !== page.done.length) find('15', `page ${id} counts a chunk twice`);
    // What a worker says of a chunk covers all of its records.
    if (page.counted !== sum(page.done.map((chunk) => chunks[chunk] ?? Number.NaN)))
      find(
        '15',
        `page ${id} has ${page.counted} records counted, and not those of its ${page.done.length} chunks`,
      );
    if (before?.done.some((chunk) => !page.done.includes(chunk)) === true)
      find('15', `page ${id} forgot a chunk that was counted`);
  }

  function seeSegment(id: string, value: unknown): void {
    const parts = partsOf(value);
    const lowWater = numberOf(parts['lowWater']);
    if (lowWater < (lowWaters.get(id) ?? 0)) find('15', `the low-water mark of segment ${id} went back`);
    lowWaters.set(id, lowWater);
    const below = Array.from({ length: lowWater }, (__, page) =>
      pages.get(pageName(textOf(parts['jobId']), parts['round'], parts['segment'], page)),
    );
    const planned = numberOf(parts['planned']);
    if (planned !== countedOf(parts))
      find('15', `segment ${id} has ${planned} planned and ${countedOf(parts)} counted`);
    if (below.some((page) => page === undefined || page.counted !== page.planned))
      find('15', `segment ${id} passed over a page that is not finished`);
    else if (sum(below.map((page) => page?.planned ?? 0)) !== planned)
      find('15', `segment ${id} has other sums than its pages`);
    if (parts['finished'] === true && below.at(-1)?.next !== null)
      find('15', `segment ${id} is finished, and its listing is not`);
  }

  return {
    entry(entry) {
      if (entry.kind !== 'item' || entry.value === null) return;
      if (entry.item === 'pages') seePage(entry.id, entry.value);
      else if (entry.item === 'segments') seeSegment(entry.id, entry.value);
    },
  };
};

function countedOf(parts: Parts): number {
  return numberOf(parts['rewrapped']) + numberOf(parts['skipped']) + numberOf(parts['quarantined']);
}

function pageName(...parts: readonly unknown[]): string {
  return JSON.stringify(parts);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
