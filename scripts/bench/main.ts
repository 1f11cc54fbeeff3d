import { cpus } from 'node:os';
import { Command } from 'commander';
import { benchEnvelope } from './envelope.ts';
import { benchFence } from './fence.ts';
import type { BenchFigure } from './figure.ts';
import { benchMemory } from './memory.ts';
import { benchPipeline } from './pipeline.ts';
import { benchPostgres } from './postgres.ts';
import { benchRequests } from './requests.ts';

/**
 * `npm run bench`: every figure with its target, each a ratio to its bound in the same run. Exit code 4: a target was
 * missed. The short form is a smoke test: times are too noisy in it to decide anything, so only counts do.
 */

const PARTS = {
  envelope: benchEnvelope,
  postgres: benchPostgres,
  fence: benchFence,
  pipeline: benchPipeline,
  requests: benchRequests,
  memory: benchMemory,
};

const program = new Command('bench')
  .description('Measures the targets of docs/performance.md, each as a ratio to its bound in the same run.')
  .option('--short', 'a quick run on few records: shows that the benchmarks work; only counts decide')
  .option('--json', 'one JSON object as the last line')
  .option('--only <parts>', 'comma-separated parts', Object.keys(PARTS).join())
  .addHelpText(
    'after',
    '\nExit codes: 0 every target was met (with --short: of the counts), 4 one was missed, 2 wrong usage, 1 it failed.',
  )
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse();
const options = program.opts<{ short?: boolean; json?: boolean; only: string }>();
const short = options.short === true;
const say = (line: string) => {
  if (options.json !== true) console.log(line);
};

const wanted = options.only.split(',');
const unknown = wanted.filter((part) => !Object.hasOwn(PARTS, part));
if (unknown.length > 0) program.error(`--only: there is no part "${unknown.join(', ')}"`);

const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, Node ${process.versions.node}`;
say(machine);
const figures: BenchFigure[] = [];
for (const [part, bench] of Object.entries(PARTS)) {
  if (!wanted.includes(part)) continue;
  say(`\n${part}`);
  for (const figure of await bench({ short })) {
    figures.push(figure);
    say(`  ${line(figure)}`);
  }
}

const missed = figures.filter(({ met }) => met === false);
const decided = figures.filter(({ met }) => met !== undefined).length;
say(
  `\n${decided - missed.length} of ${decided} targets met${short ? ' (short form: not a measurement)' : ''}`,
);
if (options.json === true) {
  console.log(JSON.stringify({ machine, short, figures, met: missed.length === 0 }));
}
const deciding = missed.filter(({ counted }) => counted === true || !short);
process.exitCode = deciding.length === 0 ? 0 : 4;

function line({ target, name, value, unit, ratio, bound, atLeast, atMost, met }: BenchFigure): string {
  const parts = [`${target}  ${name.padEnd(52)} ${value.toLocaleString('en-US').padStart(12)} ${unit}`];
  if (ratio !== undefined && bound !== undefined) parts.push(`${ratio.toFixed(2)} of ${bound}`);
  if (atLeast !== undefined) parts.push(`target >= ${atLeast}`);
  if (atMost !== undefined) parts.push(`target <= ${atMost}`);
  if (met !== undefined) parts.push(met ? 'met' : 'MISSED');
  return parts.join('  ');
}
