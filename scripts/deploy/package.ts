import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FUNCTION_NAMES, type FunctionName } from '../../infrastructure/functions.ts';
import { CliError } from '../cli/cli-error.ts';
import type { Output } from '../cli/output.ts';
import { checkBundles } from './check-bundles.ts';
import { checkTemplate, type Template } from './check-template.ts';
import { runOsls } from './osls.ts';

/** Where osls puts what it has packaged, beside serverless.yml. */
export const PACKAGE_FOLDER = '.serverless';
export const TEMPLATE_FILE = 'cloudformation-template-update-stack.json';

/** What is bundled, one for each function. */
export const FUNCTION_FILES = FUNCTION_NAMES.map((name) => `functions/${name}/index.ts`);

/** The largest that a function's zip may get: Lambda loads it at each cold start. Most of it is the AWS SDK, pg and zod. */
const BUDGET_KB = 700;

/** Less than the SDK alone: the code is not in it, as when two packagings ran in one folder at the same time. */
const LEAST_KB = 100;

interface Bundle {
  readonly name: FunctionName;
  readonly kilobytes: number;
}

/** Bundles every function and makes the template, without AWS. Throws PACKAGE_REFUSED when a limit is passed. */
export async function packageStage(stage: string, folder: string, out: Output): Promise<void> {
  await checkBundles(folder, FUNCTION_FILES);
  await runOsls({ folder, arguments: ['package', '--stage', stage], verbose: false });
  const bundles = await readBundles(folder);
  const template = await readTemplate(folder);
  out.line(`${'function'.padEnd(20)} ${'zip kB'.padStart(8)} ${'budget'.padStart(8)}`);
  for (const { name, kilobytes } of bundles) {
    const size = kilobytes.toFixed(0).padStart(8);
    out.line(
      `${name.padEnd(20)} ${kilobytes > BUDGET_KB ? out.paint('red', size) : size} ${String(BUDGET_KB).padStart(8)}`,
    );
  }
  const { resources, kilobytes, problems } = checkTemplate(template);
  out.line();
  out.line(
    `template: ${resources} resources, ${kilobytes.toFixed(0)} kB, in ${PACKAGE_FOLDER}/${TEMPLATE_FILE}`,
  );
  out.result({ stage, bundles, resources, templateKilobytes: Math.round(kilobytes) });
  refuse([...bundleProblems(bundles), ...problems]);
}

export function bundleProblems(bundles: readonly Bundle[]): string[] {
  return bundles.flatMap(({ name, kilobytes }) => {
    const size = `${name} has ${kilobytes.toFixed(0)} kB`;
    if (kilobytes < LEAST_KB)
      return [`${size}, so its code is not in it: package again, alone in this folder`];
    return kilobytes > BUDGET_KB ? [`${size}, over its ${BUDGET_KB} kB`] : [];
  });
}

export async function readTemplate(folder: string): Promise<Template> {
  return JSON.parse(await readFile(join(folder, PACKAGE_FOLDER, TEMPLATE_FILE), 'utf8'));
}

async function readBundles(folder: string): Promise<Bundle[]> {
  return Promise.all(
    FUNCTION_NAMES.map(async (name) => {
      const { size } = await stat(join(folder, PACKAGE_FOLDER, `${name}.zip`));
      return { name, kilobytes: size / 1000 };
    }),
  );
}

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new CliError(
    'PACKAGE_REFUSED',
    `The package is not deployed:\n${problems.map((p) => `  ${p}`).join('\n')}`,
    {
      remedy: 'Look at what the function imports, or at the template that is named.',
    },
  );
}
