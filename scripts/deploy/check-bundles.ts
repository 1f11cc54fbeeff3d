import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BuildFailure, build, type Message } from 'esbuild';
import { parse } from 'yaml';
import { z } from 'zod';
import { CliError } from '../cli/cli-error.ts';

/** What serverless.yml tells serverless-esbuild, as far as it decides whether there is a bundle. */
const serviceSchema = z.object({
  custom: z.object({
    esbuild: z.object({
      platform: z.literal('node'),
      target: z.string(),
      format: z.literal('cjs'),
      external: z.array(z.string()),
    }),
  }),
});

/**
 * Bundles the files with esbuild alone, and keeps nothing: osls waits for ever, and says nothing, where one of its bundles
 * fails. Throws PACKAGE_REFUSED with what esbuild said. `files`: relative to `folder`, which has serverless.yml.
 */
export async function checkBundles(folder: string, files: readonly string[]): Promise<void> {
  const service = serviceSchema.parse(parse(await readFile(join(folder, 'serverless.yml'), 'utf8')));
  try {
    await build({
      ...service.custom.esbuild,
      absWorkingDir: folder,
      // All in one: what they share is read and linked once.
      stdin: { contents: files.map((file) => `import './${file}';`).join('\n'), resolveDir: folder },
      bundle: true,
      write: false,
      logLevel: 'silent',
    });
  } catch (error) {
    if (!isBuildFailure(error)) throw error;
    const problems = error.errors.map((message) => `  ${place(message)}${message.text}`);
    throw new CliError('PACKAGE_REFUSED', `The functions cannot be bundled:\n${problems.join('\n')}`, {
      cause: error,
      remedy: 'Nothing was packaged. esbuild names the file and line of what it could not take.',
    });
  }
}

function place({ location }: Message): string {
  if (location === null) return '';
  const { file, line, column } = location;
  return `${file}:${line}:${column}: `;
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}
