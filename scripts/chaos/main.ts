import { rm } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { count, counted, duration } from '../cli/format.ts';
import { makeTemporaryFolder } from '../demo/stack-folder.ts';
import { FAULTS, type FaultName, faultWords } from './figures.ts';
import { type RoundReport, runEnd, runRound } from './round.ts';
import type { Victim } from './victim.ts';
import { createWorld, type World } from './world.ts';

/**
 * `npm run chaos`: the embedded stack, killed and cut off at random under an application that never stops, while keys are
 * rotated, rolled back and purged. docs/chaos.md says what is looked at.
 */

/** Fewer rounds do not have every fault. */
const ENOUGH_ROUNDS = 3;

const program = new Command('chaos')
  .description('Breaks a stack of its own at random moments, and looks whether anything was lost.')
  .option('--rounds <n>', 'how many rounds', natural, 5)
  .option('--seed <n>', 'repeats what was drawn; moments are up to the machine', natural)
  .option('--timeline', 'print what happened, in order, also when everything held')
  .option('--json', 'one JSON object as the last line')
  .addHelpText(
    'after',
    '\nExit codes: 0 everything held, 1 something was lost or a fault never hit, 2 wrong usage, 130 stopped by Ctrl-C.',
  )
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse();
const options = program.opts<{ rounds: number; seed?: number; timeline?: boolean; json?: boolean }>();
const { rounds } = options;
const seed = options.seed ?? Math.floor(Math.random() * 1_000_000_000);

function natural(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value >= 2 ** 31)
    throw new InvalidArgumentError('It is a whole number from 1.');
  return value;
}

function say(line = ''): void {
  process.stdout.write(`${line}\n`);
}

const began = performance.now();
const seconds = () => (performance.now() - began) / 1000;
const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort());

const dir = await makeTemporaryFolder('chaos');
let victim: Victim | null = null;
let world: World | null = null;
const reports: RoundReport[] = [];
let current = 0;
let violated = false;
say(`Chaos: ${counted(rounds, 'round')}, seed ${seed}`);
try {
  world = await createWorld(dir, seed, (made) => {
    victim = made;
  });
  process.exitCode = (await run(world)) ? 0 : 1;
} catch (error) {
  process.exitCode = abort.signal.aborted ? 130 : 1;
  if (abort.signal.aborted) say('Stopped.');
  else fail(world, [error instanceof Error ? error.message : String(error)]);
} finally {
  abort.abort();
  await world?.application.close();
  await (victim as Victim | null)?.destroy();
  if (!violated) await rm(dir, { recursive: true, force: true });
}

async function run(made: World): Promise<boolean> {
  const certified = new Set<string>();
  const fencedFrom = Math.floor(rounds / 2) + 1;
  const about = { fencedFrom, certified, signal: abort.signal };
  const setUp = seconds();
  for (let round = 1; round <= rounds; round++) {
    current = round;
    const report = await runRound(made, { ...about, round });
    reports.push(report);
    const left = ((seconds() - setUp) / round) * (rounds - round);
    say(roundLine(report, left));
    if (report.violations.length > 0) return fail(made, report.violations);
  }
  const last = await runEnd(made, { ...about, round: rounds });
  if (made.violations.length > 0) return fail(made, made.violations);
  await made.application.close();
  await made.victim.stop();
  if (options.timeline === true) for (const line of made.timeline) say(line);
  const total = made.figures.total();
  const missing = made.figures.missing();
  say();
  for (const [name, words] of Object.entries(FAULTS))
    say(`  ${words.padEnd(50)} ${count(total[name as FaultName]).padStart(6)}`);
  const vacuous = missing.length > 0 && rounds >= ENOUGH_ROUNDS;
  const { writes, reads, inDoubt, refused } = made.application.counts;
  const turned = Object.fromEntries(refused);
  say(
    `  ${count(writes)} writes (${count(inDoubt)} in doubt) and ${count(reads)} reads; refused for a while: ${JSON.stringify(turned)}`,
  );
  const rotations = reports.reduce((sum, report) => sum + report.rotations, 0);
  say(
    `  ${counted(rotations, 'rotation')}; ${counted(last.destroyed, 'version')} destroyed, each with its certificate`,
  );
  const aimed = [...made.moments]
    .sort()
    .map(([moment, times]) => `${moment}${times > 1 ? ` (${times})` : ''}`);
  say(`  Kills right ${aimed.join(', ')}`);
  if (missing.length > 0) say(`Never hit a rotation: ${missing.map((name) => FAULTS[name]).join('; ')}.`);
  say(
    vacuous
      ? 'This run proves too little.'
      : `Nothing was lost in ${counted(rounds, 'round')}: ${count(last.records)} records as they were written. ${duration(seconds())}`,
  );
  result({
    ok: !vacuous,
    faults: total,
    writes,
    reads,
    inDoubt,
    rotations,
    destroyed: last.destroyed,
    moments: Object.fromEntries(made.moments),
    violations: [],
  });
  return !vacuous;
}

function roundLine(report: RoundReport, left: number): string {
  const { round, faults, writes, inDoubt, records, rotations, destroyed, blockers } = report;
  const stopped = Object.entries(blockers).map(([name, times]) => `, ${name} ${times} times and taken up`);
  return [
    `round ${round} of ${rounds}: ${faultWords(faults)}`,
    `${count(writes)} writes (${inDoubt} in doubt), ${counted(rotations, 'rotation')}${stopped.join('')}, ${destroyed} destroyed`,
    `${count(records)} records checked`,
    `${report.seconds.toFixed(1)} s, about ${duration(left)} left`,
  ].join('; ');
}

function fail(made: World | null, violations: readonly string[]): false {
  violated = true;
  say();
  for (const line of made?.timeline ?? []) say(line);
  say();
  say(
    `VIOLATED with seed ${seed}, ${current === 0 ? 'before the first round' : `round ${current} of ${rounds}`}:`,
  );
  for (const violation of violations.slice(0, 20)) say(`  ${violation}`);
  if (violations.length > 20) say(`  and ${violations.length - 20} more`);
  say(`Again: npm run chaos -- --rounds ${rounds} --seed ${seed}. The folder is kept: ${dir}`);
  result({ ok: false, faults: made?.figures.total() ?? null, violations, dir });
  return false;
}

function result(value: object): void {
  if (options.json === true) say(JSON.stringify({ seed, rounds, seconds: Math.round(seconds()), ...value }));
}
