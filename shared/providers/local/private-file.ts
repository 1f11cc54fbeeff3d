import { constants } from 'node:fs';
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { newUuidV7 } from '../../clock/system.ts';
import { ProviderError } from '../../errors/errors.ts';

/** Files that hold secrets: read only when nobody else can read them, written whole or not at all. */

const OWNER_ONLY = 0o600;
const OTHERS = 0o077;
const MAX_BYTES = 1024 * 1024;

/** Throws KEYSTORE_NOT_FOUND, or KEYSTORE_PERMISSIONS with the command that repairs it. */
export async function readPrivateFile(path: string): Promise<Buffer> {
  // Checks the opened file, not the name, so that nobody can swap it in between. NONBLOCK: a FIFO must not hang us.
  const file = await openFile(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    await refuseUnlessPrivate(file, path);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** Creates the file; throws KEYSTORE_EXISTS when there is one, and then leaves it as it is. */
export async function createPrivateFile(path: string, bytes: Uint8Array): Promise<void> {
  // link() fails where the name is taken, also in a race, and shows the file only when it is complete.
  await publish(path, bytes, (temporary) => link(temporary, path));
}

/** Replaces the file atomically: after a crash there is the old one or the new one, whole. */
export async function replacePrivateFile(path: string, bytes: Uint8Array): Promise<void> {
  await publish(path, bytes, (temporary) => rename(temporary, path));
}

async function publish(
  path: string,
  bytes: Uint8Array,
  move: (temporary: string) => Promise<void>,
): Promise<void> {
  // In the same folder: a rename is atomic only within one file system. A fresh name: a leftover is harmless.
  const temporary = `${path}.${newUuidV7()}.tmp`;
  try {
    await writeDurably(temporary, bytes);
    await move(temporary);
    await syncFolder(dirname(path));
  } catch (cause) {
    throw fileError(path, cause, 'write');
  } finally {
    await unlink(temporary).catch(() => {
      // Renamed, or never made.
    });
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, OWNER_ONLY);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the new name itself durable. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function openFile(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (cause) {
    throw fileError(path, cause, 'read');
  }
}

async function refuseUnlessPrivate(file: FileHandle, path: string): Promise<void> {
  const stat = await file.stat();
  if (!stat.isFile()) throw permissions(path, 'is not a regular file', 'Name the file itself');
  if (stat.size > MAX_BYTES) {
    throw new ProviderError('KEYSTORE_MALFORMED', `${path} is too large for a keystore or key file`);
  }
  const user = process.getuid?.();
  if (user !== undefined && stat.uid !== user && stat.uid !== 0) {
    throw permissions(path, 'belongs to another user', `chown ${user} ${quote(path)}`);
  }
  if ((stat.mode & OTHERS) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0');
    throw permissions(
      path,
      `can be reached by others than its owner (mode ${mode})`,
      `chmod 600 ${quote(path)}`,
    );
  }
}

function fileError(path: string, cause: unknown, action: 'read' | 'write'): ProviderError {
  if (cause instanceof ProviderError) return cause;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new ProviderError('KEYSTORE_NOT_FOUND', `There is no file or folder for ${path}`, {
        cause,
        remedy:
          'Make the keystore with `keyturn init`, or correct its path; the local provider is for one machine, others do not have its keys',
      });
    case 'EEXIST':
      return new ProviderError('KEYSTORE_EXISTS', `${path} exists already and is not overwritten`, {
        cause,
        remedy: 'Without the old file everything encrypted under it is lost: use it, or name another path',
      });
    case 'EACCES':
    case 'EPERM':
      return action === 'read'
        ? permissions(path, 'cannot be read by this user', `chmod 600 ${quote(path)}`, cause)
        : permissions(path, 'cannot be written by this user', `chmod 700 ${quote(dirname(path))}`, cause);
    default:
      return new ProviderError(
        'PROVIDER_UNAVAILABLE',
        `${path} cannot be read or written (${String(code)})`,
        {
          cause,
          retryable: true,
        },
      );
  }
}

function permissions(path: string, what: string, remedy: string, cause?: unknown): ProviderError {
  return new ProviderError('KEYSTORE_PERMISSIONS', `${path} ${what}`, { remedy, cause });
}

function quote(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}
