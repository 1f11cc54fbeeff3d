import { readdir, readFile } from 'node:fs/promises';
import validate from 'asl-validator';
import { Command } from 'commander';
import { STATE_FUNCTIONS } from '../functions/index.ts';
import { STATE_MACHINES } from '../shared/executions/executions.ts';

/**
 * Validates state-machines/ against the States Language, and against the code: every Task has its function, every
 * function its Task, every Task its Retry and a way to StopJob.
 */

interface State {
  readonly Type: string;
  readonly Resource?: string;
  readonly Retry?: unknown;
  readonly Catch?: unknown;
  readonly ItemProcessor?: { readonly States: Readonly<Record<string, State>> };
}

new Command('check:asl')
  .description(
    'Validates the state machines against the States Language, and against the functions that they call.',
  )
  .addHelpText('after', '\nExit codes: 0 they are valid, 1 they are not, 2 wrong usage.')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse();

const folder = new URL('../state-machines/', import.meta.url);
const problems: string[] = [];
const called = new Set<string>();

const files = (await readdir(folder)).filter((name) => name.endsWith('.asl.json')).sort();
const expected = STATE_MACHINES.map((name) => `${name}.asl.json`).sort();
if (files.join() !== expected.join())
  problems.push(`Files are ${files.join(', ')}; declared are ${expected.join(', ')}`);

for (const file of files) {
  const text = await readFile(new URL(file, folder), 'utf8');
  const definition = JSON.parse(text);
  // The deployment fills in the ARNs.
  const deployed = JSON.parse(
    text.replaceAll(/\$\{(\w+)FunctionArn\}/g, 'arn:aws:lambda:us-east-1:000000000000:function:$1'),
  );
  const { isValid, errorsText } = validate(deployed, { checkPaths: true, checkArn: true });
  if (!isValid) problems.push(`${file}: ${errorsText(', ')}`);
  checkStates(file, definition.States, false);
}
for (const name of Object.keys(STATE_FUNCTIONS)) {
  if (!called.has(name)) problems.push(`No state machine calls ${name}`);
}

for (const problem of problems) console.error(problem);
console.log(
  `${files.length} state machines, ${called.size} functions: ${problems.length === 0 ? 'valid' : 'NOT valid'}`,
);
process.exitCode = problems.length === 0 ? 0 : 1;

function checkStates(file: string, states: Readonly<Record<string, State>>, nested: boolean): void {
  for (const [name, state] of Object.entries(states)) {
    const at = `${file}: ${name}`;
    if (state.ItemProcessor !== undefined) checkStates(file, state.ItemProcessor.States, true);
    if (state.Type === 'Map' && state.Catch === undefined) problems.push(`${at} has no Catch`);
    if (state.Type !== 'Task') continue;
    called.add(name);
    if (!Object.hasOwn(STATE_FUNCTIONS, name)) problems.push(`${at} has no function`);
    if (state.Resource !== `\${${name}FunctionArn}`) problems.push(`${at} calls ${state.Resource}`);
    if (state.Retry === undefined) problems.push(`${at} has no Retry`);
    // A nested Task's failure is caught by its Map; StopJob's own by nobody: the daily sweep finds the job.
    if (!nested && name !== 'StopJob' && state.Catch === undefined) problems.push(`${at} has no Catch`);
  }
}
