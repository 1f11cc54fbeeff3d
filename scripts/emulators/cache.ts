import { createHash } from 'node:crypto';
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * .emulators/ keeps what was installed between runs: one folder a list of pinned packages, named after its hash. So a
 * changed list is installed anew, and an installation that was broken off is never taken for a whole one.
 */

export const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
export const CACHE = join(PROJECT, '.emulators');

const COMPLETE = '.complete';

/** The folder with what `install` puts into it for exactly this file. Concurrent first runs are not foreseen. */
export async function cached(
  name: string,
  pinnedFile: string,
  install: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = await folderOf(name, pinnedFile);
  if (await isThere(join(folder, COMPLETE))) return folder;
  await mkdir(CACHE, { recursive: true });
  for (const old of await readdir(CACHE)) {
    if (old.startsWith(`${name}-`)) await rm(join(CACHE, old), { recursive: true, force: true });
  }
  await install(folder);
  await writeFile(join(folder, COMPLETE), '');
  return folder;
}

async function folderOf(name: string, pinnedFile: string): Promise<string> {
  const hash = createHash('sha256')
    .update(await readFile(pinnedFile))
    .digest('hex');
  return join(CACHE, `${name}-${hash.slice(0, 12)}`);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
