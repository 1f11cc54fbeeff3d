import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { ConfigError } from '../errors/errors.ts';
import { type Config, configSchema } from './schema.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** Absolute path of the file. */
  readonly path: string;
}

/** Names tried, in order, where no file is named. */
export const CONFIG_FILE_NAMES = ['keyturn.yaml', 'keyturn.yml', 'keyturn.json'] as const;

/** Reads and validates the configuration. Relative paths in it are resolved against its folder. */
export async function loadConfig(path: string): Promise<LoadedConfig> {
  const absolute = resolve(path);
  let text: string;
  try {
    text = await readFile(absolute, 'utf8');
  } catch (cause) {
    throw new ConfigError('CONFIG_NOT_FOUND', `The configuration file ${path} cannot be read`, {
      cause,
      remedy: 'Name it with --config, or make one with `keyturn init`.',
    });
  }
  return { config: resolvePaths(parseConfig(text, path), dirname(absolute)), path: absolute };
}

/** YAML 1.2 contains JSON, so one parser reads both. */
export function parseConfig(text: string, source: string): Config {
  let raw: unknown;
  try {
    raw = parseYaml(text);
  } catch (cause) {
    const where =
      cause instanceof YAMLParseError ? `: ${cause.code} at line ${cause.linePos?.[0].line ?? '?'}` : '';
    throw new ConfigError('CONFIG_INVALID', `${source} is neither JSON nor YAML${where}`, {
      cause,
      remedy: 'Correct the syntax; an editor with docs/keyturn.schema.json shows where.',
    });
  }
  const result = configSchema.safeParse(raw);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => {
      const at = issue.path.map(String).join('.');
      return `  ${at === '' ? '(top level)' : at}: ${issue.message}`;
    });
    throw new ConfigError('CONFIG_INVALID', `${source} is not valid:\n${problems.join('\n')}`, {
      remedy: 'Correct the named settings; docs/configuration.md lists every one.',
    });
  }
  return result.data;
}

function resolvePaths(config: Config, base: string): Config {
  const { audit, provider, signing } = config;
  return {
    ...config,
    provider:
      provider.type === 'aws-kms'
        ? provider
        : {
            ...provider,
            keystore: resolve(base, provider.keystore),
            ...(provider.keyFile === undefined ? {} : { keyFile: resolve(base, provider.keyFile) }),
          },
    ...(signing?.type === 'local' && {
      signing: { ...signing, keyFile: resolve(base, signing.keyFile) },
    }),
    ...(audit?.archive.type === 'file' && {
      audit: { archive: { ...audit.archive, folder: resolve(base, audit.archive.folder) } },
    }),
    stores: Object.fromEntries(
      Object.entries(config.stores).map(([name, store]) => [
        name,
        store.type === 'postgres' && typeof store.tls === 'object'
          ? { ...store, tls: { ca: resolve(base, store.tls.ca) } }
          : store,
      ]),
    ),
  };
}
