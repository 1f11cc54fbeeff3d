import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createS3Archive } from '../../shared/audit/s3-archive.ts';
import { describeArchive } from '../contracts/audit-archive.ts';
import { clientOf, startLocalEmu, startMinistack } from './support/emulators.ts';
import type { Emulator } from './support/server.ts';

/** The archive in S3, on what emulates it. */

describe.each([
  ['ministack', startMinistack],
  ['localemu', startLocalEmu],
] as const)('S3 of %s', (name, start) => {
  let emulator: Emulator;
  let client: S3Client;
  let buckets = 0;
  beforeAll(async () => {
    emulator = await start();
    client = new S3Client({ ...clientOf(emulator), forcePathStyle: true });
  });
  afterAll(async () => {
    client.destroy();
    await emulator.stop();
  });
  const makeArchive = async (prefix: string) => {
    buckets += 1;
    const bucket = `audit-${buckets}`;
    await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
    return createS3Archive({ client, bucket, prefix });
  };

  describeArchive(`S3 of ${name}`, () => makeArchive(''));
  describeArchive(`S3 of ${name}, under a prefix`, () => makeArchive('service/'));

  it('lists more names than one answer holds', async () => {
    const archive = await makeArchive('');
    const names = Array.from({ length: 1005 }, (_, i) => `many/${String(i).padStart(10, '0')}`);
    for (let i = 0; i < names.length; i += 15) {
      await Promise.all(names.slice(i, i + 15).map((object) => archive.put(object, Buffer.from('x'))));
    }
    expect(await archive.list('many/')).toEqual(names);
  });

  it('says that there is no such bucket', async () => {
    const archive = createS3Archive({ client, bucket: 'not-there', prefix: '' });
    await expect(archive.put('a', Buffer.from('x'))).rejects.toMatchObject({
      code: 'AUDIT_ARCHIVE_UNSUITABLE',
    });
    await expect(archive.list('')).rejects.toMatchObject({ code: 'AUDIT_ARCHIVE_UNSUITABLE' });
  });

  it('says that it is out of reach, and that it may be there later', async () => {
    const nowhere = new S3Client({
      ...clientOf({ endpoint: 'http://127.0.0.1:9' }),
      forcePathStyle: true,
      maxAttempts: 1,
    });
    const archive = createS3Archive({ client: nowhere, bucket: 'audit', prefix: '' });
    await expect(archive.get('a')).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE', retryable: true });
    nowhere.destroy();
  });
});
