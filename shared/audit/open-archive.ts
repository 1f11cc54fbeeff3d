import { dirname, join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import type { Config } from '../config/schema.ts';
import { ConfigError } from '../errors/errors.ts';
import type { AuditArchive } from './archive.ts';
import { createFileArchive } from './file-archive.ts';
import { createS3Archive } from './s3-archive.ts';

export interface ArchiveParts {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly instrument?: <Client>(client: Client) => Client;
}

export type OpenArchive = (config: Pick<Config, 'audit' | 'provider'>, parts: ArchiveParts) => AuditArchive;

/**
 * The archive by the configuration; left out, a folder beside the keystore, or the bucket that the deployment made. Only
 * who exports or verifies opens one: the SDK of S3 is in no other function.
 */
export const openArchive: OpenArchive = (config, parts) => {
  let opened: AuditArchive | undefined;
  // At its first use: whoever only may use it needs not name a bucket.
  const open = () => {
    opened ??= openNow(config, parts);
    return opened;
  };
  return {
    get place() {
      return open().place;
    },
    put: async (name, bytes) => open().put(name, bytes),
    get: async (name) => open().get(name),
    list: async (prefix) => open().list(prefix),
  };
};

const openNow: OpenArchive = ({ audit, provider }, { environment, instrument = (client) => client }) => {
  const archive = audit?.archive;
  if (archive?.type === 'file') return createFileArchive(archive.folder);
  if (archive === undefined && provider.type === 'local') {
    return createFileArchive(join(dirname(provider.keystore), 'audit'));
  }
  const bucket = archive?.bucket ?? deployedBucket(environment);
  return createS3Archive({ client: instrument(new S3Client()), bucket, prefix: archive?.prefix ?? '' });
};

/** The bucket that the deployment made, for a configuration that names none. */
function deployedBucket(environment: ArchiveParts['environment']): string {
  const bucket = environment['KEYTURN_AUDIT_BUCKET'] ?? '';
  if (bucket !== '') return bucket;
  throw new ConfigError('ENVIRONMENT_INVALID', 'The environment variable KEYTURN_AUDIT_BUCKET is not set', {
    remedy:
      'It holds the bucket that the deployment made; or say in the configuration where the audit is kept (audit.archive).',
  });
}
