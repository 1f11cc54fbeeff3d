import { spawn } from 'node:child_process';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { inLanes } from '../shared/concurrency/in-lanes.ts';
import { CASES, type Case } from './cases.ts';

/**
 * Checks the models: the protocol holds in every reachable state within the bounds, and each broken rule has a run that
 * shows why it is one. Prints a line a case; the exit code is 1 where one is not as expected. Needs Spin and gcc.
 */

/** Of one search, in megabytes. What does not fit is a failure, never a pass. */
const MEMORY = { fast: 3_500, full: 12_000 };

export interface Verdict {
  readonly got: 'holds' | 'breaks' | 'failed';
  readonly states: number;
  readonly depth: number;
  /** Of the search alone. */
  readonly seconds: number;
  /** The assertion that does not hold, or why the search failed. */
  readonly what: string;
}

/** What Spin's verifier printed. A search that was cut short proves nothing. */
export function readVerdict(output: string): Verdict {
  const number = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const found = {
    states: number(/([\d.e+]+) states, stored/),
    depth: number(/depth reached (\d+)/),
    seconds: number(/elapsed time ([\d.]+)/),
  };
  const errors = number(/errors: (\d+)/);
  const cut =
    /max search depth too small|out of memory|memory limit|reached -DMEMLIM|hash table is full/i.exec(output);
  if (cut !== null) return { ...found, got: 'failed', what: cut[0] };
  if (Number.isNaN(errors) || Number.isNaN(found.states))
    return { ...found, got: 'failed', what: 'no result' };
  if (errors > 0) {
    const what = /pan:\d+: (.+) \(at depth/.exec(output)?.[1] ?? 'no counterexample';
    // Only an assertion says which rule it was. A process that is stuck where it may not be is a fault of the model.
    return { ...found, got: what.startsWith('assertion violated') ? 'breaks' : 'failed', what };
  }
  if (output.includes('Search not completed'))
    return { ...found, got: 'failed', what: 'search not completed' };
  return { ...found, got: 'holds', what: '' };
}

/** Breadth first: a counterexample is then one of the shortest. `trace`: the steps of the counterexample, as Spin prints them. */
export async function check(one: Case, trace = false): Promise<Verdict & { readonly trace: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'keyturn-spec-'));
  try {
    const file = `${one.model}.pml`;
    await copyFile(new URL(file, import.meta.url), join(folder, file));
    const flags = [...one.bounds, ...(one.flag === undefined ? [] : [`-D${one.flag}`])];
    await run('spin', ['-a', ...flags, file], folder);
    const memory = one.full ? [`-DMEMLIM=${MEMORY.full}`, '-DCOLLAPSE'] : [`-DMEMLIM=${MEMORY.fast}`];
    // A counterexample is found in less time than an optimizing compiler takes.
    const optimize = one.full ? '-O2' : one.expected === 'holds' ? '-O1' : '-O0';
    await run(
      'gcc',
      [optimize, '-w', '-DSAFETY', '-DNOFAIR', '-DBFS', ...memory, '-o', 'pan', 'pan.c'],
      folder,
    );
    const verdict = readVerdict(await run('./pan', ['-w24'], folder));
    const steps =
      trace && verdict.got === 'breaks' ? await run('spin', ['-t', '-p', '-g', ...flags, file], folder) : '';
    return { ...verdict, trace: steps };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What it printed. A verifier that finds an error exits as any other; a compiler that fails throws. */
function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0 || command === './pan') resolve(output);
      else reject(new Error(`${command} ${args.join(' ')} failed:\n${output.slice(0, 2000)}`));
    });
  });
}

export async function missingTool(): Promise<string | null> {
  for (const [tool, version] of [
    ['spin', '-V'],
    ['gcc', '--version'],
  ] as const) {
    try {
      await run(tool, [version], tmpdir());
    } catch {
      return tool;
    }
  }
  return null;
}

const WIDTHS = [33, 11, 10, 8, 12, 7, 9];

function line(cells: readonly string[]): string {
  return cells
    .map((cell, i) =>
      i < 4 ? cell.padEnd(WIDTHS[i] ?? 0) : i < 7 ? cell.padStart(WIDTHS[i] ?? 0) : `  ${cell}`,
    )
    .join('')
    .trimEnd();
}

interface Arguments {
  readonly names: readonly string[];
  readonly full?: true;
  readonly trace?: true;
  readonly list?: true;
}

function readArguments(): Arguments {
  const program = new Command('model')
    .description(
      'Searches the models of the protocol in full: what must hold does, and each broken rule is found.',
    )
    .argument('[names...]', 'models or cases; left out: all that are fast')
    .option('--full', 'the larger bounds too: one at a time, up to 12 GB')
    .option('--trace', 'print the counterexample of a broken rule, step by step')
    .option('--list', 'show the cases, also those of --full')
    .addHelpText('after', '\nExit codes: 0 all is as expected, 1 something is not, 2 wrong usage.')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .parse();
  const unknown = program.args.filter(
    (name) => !CASES.some((one) => one.name === name || one.model === name),
  );
  if (unknown.length > 0) program.error(`error: no such case: ${unknown.join(', ')}. --list shows them.`);
  return { ...program.opts<Omit<Arguments, 'names'>>(), names: program.args };
}

async function main(): Promise<void> {
  const { names: positionals, ...values } = readArguments();
  const cases = CASES.filter(
    ({ name, model, full }) =>
      positionals.includes(name) ||
      ((values.full || values.list || !full) && (positionals.length === 0 || positionals.includes(model))),
  );
  if (values.list) {
    for (const { name, model, expected, bounds, flag } of cases)
      console.log(
        `${name}: ${model}.pml ${expected}, ${[...bounds, flag === undefined ? '' : `-D${flag}`].join(' ')}`,
      );
    return;
  }
  const missing = await missingTool();
  if (missing !== null) {
    const needed = process.env['CI'] === 'true';
    console.log(
      `spec: ${needed ? 'FAILED' : 'skipped'}, ${missing} is not installed (Debian: apt-get install spin gcc)`,
    );
    process.exitCode = needed ? 1 : 0;
    return;
  }
  const began = Date.now();
  let wrong = 0;
  console.log(line(['case', 'model', 'expected', 'got', 'states', 'depth', 'seconds', '']));
  // Those with --full take the memory of many: one at a time.
  const lanes = values.full ? 1 : Math.min(2, availableParallelism());
  await inLanes(cases, lanes, async (one) => {
    const { got, states, depth, seconds, what, trace } = await check(one, values.trace);
    if (got !== one.expected) wrong += 1;
    const mark = got === one.expected ? what.slice(0, 60) : `NOT AS EXPECTED ${what}`;
    console.log(line([one.name, one.model, one.expected, got, `${states}`, `${depth}`, `${seconds}`, mark]));
    if (trace !== '') console.log(trace);
  });
  console.log(
    `${cases.length} cases, ${wrong} not as expected, ${Math.round((Date.now() - began) / 1000)} s`,
  );
  if (wrong > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
