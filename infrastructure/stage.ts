import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import type { DeploymentConfig } from '../shared/config/deployment.ts';
import { parseConfig } from '../shared/config/load.ts';
import type { AwsKmsProviderConfig, Config } from '../shared/config/schema.ts';
import { ConfigError } from '../shared/errors/errors.ts';

/** One stage: its name, its file, and what every part of the template is made from. */
export interface Stage {
  readonly name: string;
  /** `keyturn-<stage>`: the stack, the prefix of every name, and the dimension of every metric. */
  readonly service: string;
  /** Path of the stage's file from the project's folder, as it is in the bundles too. */
  readonly file: string;
  /** True for a file of examples/, which is packaged by tests and never deployed. */
  readonly example: boolean;
  readonly config: Config;
  readonly provider: AwsKmsProviderConfig;
  readonly deployment: DeploymentConfig;
}

export const PROJECT_FOLDER = resolve(import.meta.dirname, '..');
/** What `npx serverless package` takes when no stage is named. */
export const DEFAULT_STAGE = 'dynamodb';

/** IAM role names have at most 64 characters: keyturn-<stage>-<region>-<function>. */
const STAGE_NAME = /^[a-z][a-z0-9-]{0,15}$/;

/** Reads and checks the file of a stage. Throws CONFIG_NOT_FOUND or CONFIG_INVALID. */
export function readStage(name: string, folder: string = PROJECT_FOLDER): Stage {
  if (!STAGE_NAME.test(name)) {
    throw new ConfigError('CONFIG_INVALID', `"${name}" is no name for a stage`, {
      remedy: 'Use 1 to 16 of a-z, 0-9 and -, beginning with a letter.',
    });
  }
  const fileName = `keyturn.${name}.yaml`;
  const own = join(folder, fileName);
  const example = join(PROJECT_FOLDER, 'examples', fileName);
  const path = existsSync(own) ? own : example;
  if (!existsSync(path)) {
    throw new ConfigError('CONFIG_NOT_FOUND', `There is no ${fileName}`, {
      remedy: 'Copy a file of examples/ to this name and put your own in; docs/deploy.md says how.',
    });
  }
  const config = parseConfig(readFileSync(path, 'utf8'), fileName);
  return {
    name,
    service: `keyturn-${name}`,
    file: relative(folder, path),
    example: path === example,
    config,
    ...checkDeployable(config, fileName),
  };
}

function checkDeployable(config: Config, fileName: string): Pick<Stage, 'provider' | 'deployment'> {
  const { provider, deployment } = config;
  const refuse = (message: string, remedy: string) =>
    new ConfigError('CONFIG_INVALID', `${fileName}: ${message}`, { remedy });
  if (deployment === undefined) {
    throw refuse('there is no deployment section', 'docs/deploy.md lists its settings; region is the least.');
  }
  if (provider.type === 'local') {
    throw refuse(
      'the local provider is a file on one machine, and is not deployed',
      'Set provider to type: aws-kms.',
    );
  }
  if (config.signing?.type === 'local') {
    throw refuse(
      'the local signing key is a file on one machine, and is not deployed',
      'Leave signing out, and the stack makes a KMS key; or set it to type: aws-kms.',
    );
  }
  if (config.audit?.archive.type === 'file') {
    throw refuse(
      'the audit archive is a folder on one machine, and is not deployed',
      'Leave audit out, and the stack makes a bucket; or set audit.archive to type: s3.',
    );
  }
  for (const [name, store] of Object.entries(config.stores)) {
    if (store.type === 'postgres' && store.secret === undefined) {
      throw refuse(
        `stores.${name} has no secret`,
        'Name its Secrets Manager secret (stores.<name>.secret): a URL with a password stands in no environment variable of a function.',
      );
    }
    if (store.type === 'postgres' && store.tls === 'off') {
      throw refuse(`stores.${name} is without TLS`, 'Leave tls out, or name the certificate authorities.');
    }
  }
  return { provider, deployment };
}

/** Files that a stage's file names and that the bundles need too, from the project's folder. */
export function filesOf(stage: Stage, folder: string = PROJECT_FOLDER): string[] {
  const certificates = Object.values(stage.config.stores).flatMap((store) =>
    store.type === 'postgres' && typeof store.tls === 'object' && !store.tls.ca.startsWith('/')
      ? [relative(folder, resolve(folder, dirname(stage.file), store.tls.ca))]
      : [],
  );
  return [stage.file, ...certificates];
}
