import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { inLanes } from '../../shared/concurrency/in-lanes.ts';
import { MUTANTS } from './list.ts';

/** Runs every mutant until a seed finds it, each in a process of its own, and shows the table. */

const run = promisify(execFile);
const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));

const findingSchema = z.object({
  name: z.string(),
  seeds: z.int(),
  steps: z.int(),
  caught: z.object({ seed: z.int(), rule: z.string(), what: z.string() }).nullable(),
});

export interface MutantsOptions {
  readonly workers: number;
  readonly firstSeed: number;
  /** Most seeds for one mutant. */
  readonly seeds: number;
  /** Left out: all. */
  readonly only?: readonly string[];
  readonly print: (line: string) => void;
}

/** Returns how many were not found. */
export async function runMutants({
  workers,
  firstSeed,
  seeds,
  only,
  print,
}: MutantsOptions): Promise<number> {
  const mutants = MUTANTS.filter(({ name }) => only === undefined || only.includes(name));
  const unknown = (only ?? []).filter((wanted) => !mutants.some(({ name }) => name === wanted));
  if (unknown.length > 0) throw new Error(`There is no mutant ${unknown.join(', ')}`);
  const began = performance.now();
  const survivors: string[] = [];
  let total = 0;
  let done = 0;
  const width = Math.max(...mutants.map(({ name }) => name.length));
  print(`${'mutant'.padEnd(width)}  rule      seeds  seconds  found by`);
  await inLanes(mutants, workers, async ({ name, breaks }) => {
    const start = performance.now();
    const { stdout } = await run(process.execPath, [WORKER, name, String(firstSeed), String(seeds)]);
    const found = findingSchema.parse(JSON.parse(stdout));
    total += found.seeds;
    done += 1;
    const rule = found.caught === null ? 'SURVIVED' : found.caught.rule;
    if (found.caught === null) survivors.push(name);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    const cells = [name.padEnd(width), rule.padEnd(8), String(found.seeds).padStart(6), seconds.padStart(7)];
    print(`${cells.join('  ')}  ${found.caught === null ? `nobody: ${breaks}` : shorten(found.caught.what)}`);
  });
  const seconds = Math.round((performance.now() - began) / 1000);
  print(`${done - survivors.length} of ${done} mutants found, ${total} seeds, ${seconds} s.`);
  print(JSON.stringify({ mutants: done, survivors, seeds: total, seconds }));
  return survivors.length;
}

function shorten(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 99)}…`;
}
