import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import type { TestProject } from 'vitest/node';
import { startPostgres } from '../../local/postgres.ts';

/**
 * The data of a new PostgreSQL, made once a run and copied for each server: two seconds of a processor become a tenth. The
 * first test that needs it makes it.
 */

declare module 'vitest' {
  interface ProvidedContext {
    postgresTemplate: string;
  }
}

/** Of every throw-away server. */
export const DATABASE = 'app';

/** A global setup of Vitest: says where the template is to be, and removes it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const root = await mkdtemp(join(tmpdir(), 'keyturn-template-'));
  // PostgreSQL does not run as root; its account must be able to pass through.
  await chmod(root, 0o711);
  project.provide('postgresTemplate', root);
  return () => rm(root, { recursive: true, force: true });
}

const run = promisify(execFile);

/** Fills the folder of a server that is to be started for the first time. Its database exists then. */
export async function copyTemplate(dir: string): Promise<void> {
  const template = join(inject('postgresTemplate'), 'made');
  if (!(await isThere(template))) await makeTemplate(template);
  await mkdir(dir, { recursive: true, mode: 0o711 });
  // With owners and rights, which a copy by Node does not keep.
  await run('cp', ['-a', join(template, 'data'), join(template, 'password'), dir]);
}

/** Under another name until it is whole. Two test files may both make one: the second is thrown away. */
async function makeTemplate(template: string): Promise<void> {
  const draft = `${template}-by-${process.pid}`;
  const server = await startPostgres({ dir: draft, settings: { fsync: 'off' } });
  await server.createDatabase(DATABASE);
  await server.stop();
  await rename(draft, template).catch(async (error: unknown) => {
    await rm(draft, { recursive: true, force: true });
    if (!(await isThere(template))) throw error;
  });
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
