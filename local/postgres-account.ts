import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';

/** PostgreSQL refuses to run as root. Under root it gets an account that the machine has already. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

const CANDIDATES = ['postgres', 'nobody'];

/** Undefined when we are not root: the server then runs as we do. */
export async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  for (const name of CANDIDATES) {
    const [, , uid, gid] =
      passwd
        .split('\n')
        .find((line) => line.startsWith(`${name}:`))
        ?.split(':') ?? [];
    if (Number(uid) > 0 && Number(gid) > 0) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    `PostgreSQL does not run as root, and this machine has none of the accounts ${CANDIDATES.join(', ')} to run it as. Run Keyturn as another user.`,
  );
}

/** Every folder on the way must let the account pass; that is the owner's to change, so it is only reported. */
export async function assertReachable(target: string, account: Account, what: string): Promise<void> {
  for (let folder = target; ; folder = path.dirname(folder)) {
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) {
      throw new Error(
        `PostgreSQL runs as uid ${account.uid}, because it refuses to run as root, and cannot reach ${what} through ${folder}. Allow it with: chmod o+x ${folder}. Or use a folder elsewhere, or run Keyturn as another user.`,
      );
    }
    if (folder === path.dirname(folder)) return;
  }
}
