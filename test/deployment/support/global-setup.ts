import { copyFile, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { PROJECT_FOLDER } from '../../../infrastructure/stage.ts';
import { checkBundles } from '../../../scripts/deploy/check-bundles.ts';
import { runOsls } from '../../../scripts/deploy/osls.ts';
import { FUNCTION_FILES } from '../../../scripts/deploy/package.ts';

/**
 * Packages the examples as `npm run package` does, each in a folder of its own that links to the project: the tests
 * read what would be deployed, and a package that lies in the project stays as it is.
 */

export const STAGES = ['dynamodb', 'postgres'] as const;
export type ExampleStage = (typeof STAGES)[number];

declare module 'vitest' {
  interface ProvidedContext {
    packages: Readonly<Record<ExampleStage, string>>;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const root = await mkdtemp(join(tmpdir(), 'keyturn-package-'));
  // Or a bundle that fails would keep the whole run waiting.
  await checkBundles(PROJECT_FOLDER, FUNCTION_FILES);
  const folders = await Promise.all(
    STAGES.map(async (stage) => [stage, await packageIn(join(root, stage), stage)]),
  );
  project.provide('packages', Object.fromEntries(folders));
  return () => rm(root, { recursive: true, force: true });
}

async function packageIn(folder: string, stage: ExampleStage): Promise<string> {
  await mkdir(folder);
  for (const entry of await readdir(PROJECT_FOLDER, { withFileTypes: true })) {
    const [from, to] = [join(PROJECT_FOLDER, entry.name), join(folder, entry.name)];
    if (entry.isDirectory() && !entry.name.startsWith('.')) await symlink(from, to);
    // osls takes no link for its own file.
    if (entry.isFile()) await copyFile(from, to);
  }
  await runOsls({ folder, arguments: ['package', '--stage', stage], verbose: false });
  return join(folder, '.serverless');
}
