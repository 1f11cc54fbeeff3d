import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROJECT_FOLDER, readStage } from '../../infrastructure/stage.ts';
import { createOutput } from '../../scripts/cli/output.ts';
import { checkBundles } from '../../scripts/deploy/check-bundles.ts';
import { bundleProblems } from '../../scripts/deploy/package.ts';
import { removeStage } from '../../scripts/deploy/remove.ts';
import { createDynamoDbLedger } from '../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../shared/ledger/table.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { testState } from '../../simulation/models/state-key.ts';
import { startTestDynamoDb } from '../support/dynamodb.ts';
import { prepareWorlds, TENANT } from '../support/memory-world.ts';

/** The commands as people run them: what they refuse, with which exit code, and that they touch nothing then. */

const run = promisify(execFile);

async function deploy(...given: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  try {
    const { stdout, stderr } = await run(process.execPath, [
      join(PROJECT_FOLDER, 'scripts/deploy/main.ts'),
      ...given,
    ]);
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
}

describe('a command', () => {
  it.each(['deploy', 'remove', 'env'])('%s: does nothing without --stage', async (name) => {
    expect(await deploy(name)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("'--stage <name>'"),
    });
  });

  it.each(['deploy', 'remove', 'env'])('%s: an example is not a stage', async (name) => {
    const { code, stderr } = await deploy(name, '--stage', 'dynamodb');
    expect(code).toBe(2);
    expect(stderr).toMatch(/^keyturn: USAGE: .*example.*\n {2}Copy it to keyturn\.<stage>\.yaml/);
  });

  it('says what is missing, as JSON too', async () => {
    const { code, stdout, stderr } = await deploy('package', '--stage', 'nowhere', '--json');
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'CONFIG_NOT_FOUND' } });
    expect(stderr).toContain('There is no keyturn.nowhere.yaml');
  });
});

describe('the bundles', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keyturn-bundles-'));
    await copyFile(join(PROJECT_FOLDER, 'serverless.yml'), join(folder, 'serverless.yml'));
    await writeFile(join(folder, 'whole.ts'), "export const load = () => import('pg-native');\n");
    await writeFile(join(folder, 'broken.ts'), "\nexport const load = () => import('./not-there.ts');\n");
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('that cannot be made are named with their place, before osls, which would wait for ever', async () => {
    await expect(checkBundles(folder, ['whole.ts', 'broken.ts'])).rejects.toMatchObject({
      code: 'PACKAGE_REFUSED',
      message: 'The functions cannot be bundled:\n  broken.ts:2:33: Could not resolve "./not-there.ts"',
    });
  });

  it('are made as serverless.yml says: what it has outside of them is not looked for', async () => {
    await checkBundles(folder, ['whole.ts']);
    expect((await readdir(folder)).sort()).toEqual(['broken.ts', 'serverless.yml', 'whole.ts']);
  });
});

describe('the budget', () => {
  it('is passed by a bundle over it, and by no other', () => {
    expect(
      bundleProblems([
        { name: 'sweep', kilobytes: 700 },
        { name: 'monitor', kilobytes: 701 },
        { name: 'kms-event', kilobytes: 1 },
      ]),
    ).toEqual([
      'monitor has 701 kB, over its 700 kB',
      'kms-event has 1 kB, so its code is not in it: package again, alone in this folder',
    ]);
  });
});

describe('the removal', async () => {
  const dynamodb = await startTestDynamoDb();
  const worlds = await prepareWorlds();
  const stage = readStage('dynamodb');
  const environment = {
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.server.endpoint,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
  const before = { ...process.env };
  Object.assign(process.env, environment);
  afterAll(async () => {
    for (const name of Object.keys(environment)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
    await worlds.remove();
    await dynamodb.stop();
  });
  const out = createOutput({ stdout: process.stdout, stderr: process.stderr, stdin: { isTTY: false } }, true);

  it('is refused while keys live, and says how many', async () => {
    const tableName = 'keyturn-dynamodb-ledger';
    await createLedgerTable(dynamodb.client, tableName);
    const { deps } = await worlds.makeWorld(
      createDynamoDbLedger({ client: dynamodb.client, tableName, authenticator: testState }),
    );
    await createKey(deps, 'globex', 'default');
    // No osls is started: it would not find this folder.
    await expect(removeStage(stage, '/nowhere', out, true)).rejects.toMatchObject({
      code: 'KEYS_NOT_DESTROYED',
      message: expect.stringContaining(
        `2 keys of keyturn-dynamodb are not destroyed, such as ${TENANT}/default`,
      ),
    });
  });

  it('asks first, and nobody can be asked here', async () => {
    const { config, ...rest } = stage;
    const empty = { ...rest, config, service: 'keyturn-empty' };
    await expect(removeStage(empty, '/nowhere', out, false)).rejects.toMatchObject({ code: 'NOT_CONFIRMED' });
  });
});
