import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AuditError, ProviderError } from '../errors/errors.ts';
import { createPrivateFile } from '../providers/local/private-file.ts';
import type { AuditArchive } from './archive.ts';

/**
 * A folder on one machine, only its owner's. A file appears whole or not at all, and is never written again; but whoever
 * may write the folder may delete files: keep a copy elsewhere, or let another user own it.
 */

const OTHERS_WRITE = 0o022;

export function createFileArchive(folder: string): AuditArchive {
  const pathOf = (name: string) => join(folder, ...name.split('/'));
  return {
    place: folder,
    async put(name, bytes) {
      const path = pathOf(name);
      try {
        await mkdir(dirname(path), { recursive: true, mode: 0o700 });
        await requireOwn(folder);
        await createPrivateFile(path, bytes);
        return true;
      } catch (error) {
        if (error instanceof ProviderError && error.code === 'KEYSTORE_EXISTS') return false;
        throw translate(folder, error);
      }
    },
    async get(name) {
      try {
        return await readFile(pathOf(name));
      } catch (error) {
        if (isMissing(error)) return null;
        throw translate(folder, error);
      }
    },
    async list(prefix) {
      const base = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      try {
        const names = await namesIn(pathOf(base), base);
        return names.filter((name) => name.startsWith(prefix)).sort(byBytes);
      } catch (error) {
        throw translate(folder, error);
      }
    },
  };
}

async function namesIn(path: string, prefix: string): Promise<string[]> {
  const found = await readdir(path, { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  const names = await Promise.all(
    found.map(async (entry) =>
      entry.isDirectory()
        ? namesIn(join(path, entry.name), `${prefix}${entry.name}/`)
        : // What a process that died was writing.
          entry.name.endsWith('.tmp')
          ? []
          : [`${prefix}${entry.name}`],
    ),
  );
  return names.flat();
}

async function requireOwn(folder: string): Promise<void> {
  const { mode } = await stat(folder);
  if ((mode & OTHERS_WRITE) === 0) return;
  throw new AuditError(
    'AUDIT_ARCHIVE_UNSUITABLE',
    `The archive of the audit can be written by others than its owner: ${folder}`,
    { remedy: `chmod 700 '${folder.replaceAll("'", `'\\''`)}'` },
  );
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function codeOf(error: unknown): string {
  const found = error instanceof ProviderError ? error.cause : error;
  return found instanceof Error && 'code' in found ? String(found.code) : 'unknown';
}

function translate(folder: string, cause: unknown): AuditError {
  if (cause instanceof AuditError) return cause;
  const code = codeOf(cause);
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new AuditError('AUDIT_DENIED', `The archive of the audit refuses access (${code}): ${folder}`, {
      cause,
      remedy: 'The folder belongs to whoever runs the stack: correct its owner or `audit.archive.folder`.',
    });
  }
  return new AuditError(
    'AUDIT_UNAVAILABLE',
    `The archive of the audit cannot be read or written (${code}): ${folder}`,
    { cause, retryable: true },
  );
}
