import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { CliError } from '../cli/cli-error.ts';

/** osls, the maintained fork of the Serverless Framework, as its own process. */

const OSLS = createRequire(import.meta.url).resolve('serverless/bin/serverless.js');

export interface OslsRun {
  /** Folder of serverless.yml. */
  readonly folder: string;
  readonly arguments: readonly string[];
  /** false: its output is shown only if it fails. */
  readonly verbose: boolean;
}

/** Throws DEPLOY_FAILED with what osls said. */
export async function runOsls({ folder, arguments: given, verbose }: OslsRun): Promise<void> {
  const child = spawn(process.execPath, [OSLS, ...given], {
    cwd: folder,
    stdio: ['inherit', verbose ? 'inherit' : 'pipe', verbose ? 'inherit' : 'pipe'],
  });
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => said.push(chunk));
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject);
  child.on('close', resolve);
  const code = await promise;
  if (code === 0) return;
  const output = Buffer.concat(said).toString().trim();
  throw new CliError('DEPLOY_FAILED', `osls ${given[0]} failed${output === '' ? '' : `:\n${output}`}`, {
    remedy: 'What osls says above names the cause; docs/deploy.md lists the rights that a deployment needs.',
  });
}
