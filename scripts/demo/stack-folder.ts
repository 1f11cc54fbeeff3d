import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { initKeystore } from '../../shared/providers/local/keystore.ts';
import { initKeyFile } from '../../shared/providers/local/secret.ts';

/** The folder of an embedded stack that is made for one run: configuration, keystore and key file. */

/** `name` is in the command line of everything that runs in it. */
export async function makeTemporaryFolder(name: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), `keyturn-${name}-`));
  // PostgreSQL does not run as root; where root runs this, its account must be able to pass through.
  await chmod(dir, 0o711);
  return dir;
}

/** Returns the path of the configuration, in which the provider is filled in. */
export async function writeStackFolder(dir: string, config: object): Promise<string> {
  const configPath = join(dir, 'keyturn.json');
  const keyFilePath = join(dir, 'keystore.key');
  const provider = { type: 'local', keystore: 'keystore.json', keyFile: 'keystore.key' };
  await writeFile(configPath, `${JSON.stringify({ provider, ...config }, null, 2)}\n`);
  await initKeyFile(keyFilePath, fillRandom);
  await initKeystore({
    keystorePath: join(dir, 'keystore.json'),
    secret: { keyFilePath },
    random: fillRandom,
  });
  return configPath;
}
