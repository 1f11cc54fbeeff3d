import { join } from 'node:path';
import { cached, PROJECT } from './cache.ts';
import { answers, run } from './run.ts';

/** DynamoDB Local, from Maven Central by test/emulator/pom.xml. Unlike the others it is optional: it needs Java. */

const POM = join(PROJECT, 'test/emulator/pom.xml');

/** The folder with its jars and native libraries; null where there is no Java to run it and none may be installed. */
export async function dynamoDbLocalJars(): Promise<string | null> {
  if (!(await haveJava()) && !(await installJava())) return null;
  return cached('dynamodb-local', POM, async (folder) => {
    const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${folder}`];
    await run('mvn', ['--quiet', '--batch-mode', '--file', POM, ...goal]);
  });
}

/** 17 or later, with the compiler: the launcher is run from its source. */
async function haveJava(): Promise<boolean> {
  const source = await answers('java', ['--source', '17', '--version']);
  const compiler = source && (await run('java', ['--list-modules'])).includes('jdk.compiler');
  return compiler && (await answers('mvn', ['--version']));
}

/** On a build machine only: nobody's own machine gets packages from a test. */
async function installJava(): Promise<boolean> {
  if (process.env['CI'] !== 'true' || process.getuid?.() !== 0) return false;
  const options = ['--quiet', '--yes', '--no-install-recommends'];
  try {
    await run('apt-get', ['update', '--quiet']);
    await run('apt-get', ['install', ...options, 'default-jdk-headless', 'maven']);
  } catch {
    return false;
  }
  return haveJava();
}
