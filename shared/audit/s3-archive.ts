import { GetObjectCommand, PutObjectCommand, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import { AuditError } from '../errors/errors.ts';
import { NETWORK_ERRORS } from '../errors/network-errors.ts';
import type { AuditArchive } from './archive.ts';

/**
 * A bucket of Amazon S3. How long an object is locked is the bucket's default retention (Object Lock), so that this role
 * can neither shorten it nor go without. D/AmazonS3/latest/userguide/object-lock.html
 */
export function createS3Archive(options: {
  readonly client: S3Client;
  readonly bucket: string;
  readonly prefix: string;
}): AuditArchive {
  const { client, bucket, prefix } = options;
  const target = (name: string) => ({ Bucket: bucket, Key: `${prefix}${name}` });
  return {
    place: `s3://${bucket}/${prefix}`,
    async put(name, bytes) {
      try {
        // D/AmazonS3/latest/userguide/conditional-writes.html
        await client.send(
          new PutObjectCommand({
            ...target(name),
            Body: bytes,
            IfNoneMatch: '*',
            ChecksumAlgorithm: 'SHA256',
            ContentType: name.endsWith('.jws') ? 'application/jose' : 'application/jsonl',
          }),
        );
        return true;
      } catch (error) {
        if (nameOf(error) === 'PreconditionFailed') return false;
        throw translate(bucket, error);
      }
    },
    async get(name) {
      try {
        const { Body } = await client.send(new GetObjectCommand(target(name)));
        return Body === undefined ? null : await Body.transformToByteArray();
      } catch (error) {
        if (nameOf(error) === 'NoSuchKey') return null;
        throw translate(bucket, error);
      }
    },
    async list(under) {
      try {
        const names: string[] = [];
        const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: `${prefix}${under}` });
        for await (const { Contents = [] } of pages) {
          names.push(...Contents.flatMap(({ Key }) => (Key === undefined ? [] : [Key.slice(prefix.length)])));
        }
        return names;
      } catch (error) {
        throw translate(bucket, error);
      }
    },
  };
}

/** Somebody else puts the same name at this moment, or S3 asks to slow down. */
const BUSY: ReadonlySet<string> = new Set([
  'ConditionalRequestConflict',
  'OperationAborted',
  'SlowDown',
  'ServiceUnavailable',
  'InternalError',
  'RequestTimeout',
  'ExpiredToken',
  'CredentialsProviderError',
  ...NETWORK_ERRORS,
]);
const DENIED: ReadonlySet<string> = new Set([
  'AccessDenied',
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'AllAccessDisabled',
]);

function translate(bucket: string, cause: unknown): AuditError {
  if (cause instanceof AuditError) return cause;
  const name = nameOf(cause);
  if (name === 'NoSuchBucket') {
    return new AuditError('AUDIT_ARCHIVE_UNSUITABLE', `There is no bucket ${bucket}`, {
      cause,
      remedy: 'A deployment makes it (KEYTURN_AUDIT_BUCKET); or correct `audit.archive.bucket`.',
    });
  }
  if (DENIED.has(name)) {
    return new AuditError('AUDIT_DENIED', `The bucket ${bucket} refuses access (${name})`, {
      cause,
      remedy: 'Reading needs s3:GetObject and s3:ListBucket, the export s3:PutObject besides.',
    });
  }
  const status = statusOf(cause);
  const retryable = BUSY.has(name) || (status !== null && status >= 500);
  return new AuditError('AUDIT_UNAVAILABLE', `The bucket ${bucket} cannot be used (${name})`, {
    cause,
    retryable,
  });
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null;
  return code ?? error.name;
}

function statusOf(error: unknown): number | null {
  if (!(error instanceof Error) || !('$metadata' in error)) return null;
  const metadata: unknown = error.$metadata;
  const status: unknown =
    typeof metadata === 'object' && metadata !== null ? Reflect.get(metadata, 'httpStatusCode') : null;
  return typeof status === 'number' ? status : null;
}
