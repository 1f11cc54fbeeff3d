import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  anchorName,
  anchorPrefix,
  readAnchorName,
  readSegmentName,
  segmentName,
  segmentPrefix,
} from '../../../shared/audit/archive-names.ts';
import { createFileArchive } from '../../../shared/audit/file-archive.ts';
import { openArchive } from '../../../shared/audit/open-archive.ts';
import { createMemoryArchive } from '../../../simulation/models/archive.ts';
import { describeArchive } from '../../contracts/audit-archive.ts';

const root = await mkdtemp(join(tmpdir(), 'keyturn-archive-'));
afterAll(() => rm(root, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => {
  folders += 1;
  return join(root, `archive-${folders}`);
};

describeArchive('memory', async () => createMemoryArchive());
describeArchive('file', async () => createFileArchive(newFolder()));

describe('a file archive', () => {
  it("is its owner's only", async () => {
    const folder = newFolder();
    await createFileArchive(folder).put('acme/1.jsonl', Buffer.from('x'));
    expect((await stat(join(folder, 'acme/1.jsonl'))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await readdir(join(folder, 'acme'))).toEqual(['1.jsonl']);
  });

  it('refuses a folder that others may write', async () => {
    const folder = newFolder();
    await mkdir(folder);
    await chmod(folder, 0o777);
    await expect(createFileArchive(folder).put('a/1', Buffer.from('x'))).rejects.toMatchObject({
      code: 'AUDIT_ARCHIVE_UNSUITABLE',
    });
  });

  it('does not show what was being written', async () => {
    const folder = newFolder();
    const archive = createFileArchive(folder);
    await archive.put('acme/1.jsonl', Buffer.from('x'));
    await writeFile(join(folder, 'acme/2.jsonl.0190.tmp'), 'half');
    expect(await archive.list('acme/')).toEqual(['acme/1.jsonl']);
  });

  it('says that it cannot be used', async () => {
    const folder = newFolder();
    await writeFile(folder, 'a file');
    await expect(createFileArchive(folder).put('a/1', Buffer.from('x'))).rejects.toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
    });
  });
});

describe('names', () => {
  const tenant = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }).filter((text) => text.isWellFormed()),
    fc.constantFrom(
      '',
      '.',
      '..',
      'anchors',
      'anchors/acme',
      '../x',
      'a/b',
      '%service',
      '%61nchors',
      'A',
      'a',
    ),
  );

  it('tell two tenants apart, and leave no folder', () => {
    fc.assert(
      fc.property(tenant, tenant, fc.integer({ min: 1, max: 1e9 }), (a, b, sequence) => {
        const names = [segmentName(a, sequence, sequence + 5), anchorName(a, sequence)];
        for (const name of names) {
          expect(name).toMatch(/^(anchors\/)?[^/]+\/[^/]+$/);
          expect(name.split('/').every((part) => part !== '.' && part !== '..' && part.length < 256)).toBe(
            true,
          );
        }
        if (a === b) return;
        expect(segmentPrefix(a)).not.toBe(segmentPrefix(b));
        expect(anchorPrefix(a)).not.toBe(anchorPrefix(b));
        expect(anchorPrefix(a).startsWith(segmentPrefix(b))).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  it('say what they hold', () => {
    expect(readSegmentName(segmentName('acme', 1, 120))).toEqual({ first: 1, last: 120 });
    expect(readAnchorName(anchorName('acme', 120))).toBe(120);
    expect(readSegmentName('acme/notes.txt')).toBeNull();
    expect(readAnchorName('anchors/acme/notes.txt')).toBeNull();
  });
});

describe('by the configuration', () => {
  const local = { type: 'local', keystore: '/keys/keystore.json', keyFile: '/keys/key' } as const;
  const kms = { type: 'aws-kms' } as never;
  const place = (config: Parameters<typeof openArchive>[0], environment = {}) =>
    openArchive(config, { environment }).place;

  it('is a folder beside the keystore, the bucket of the deployment, or what is named', () => {
    expect(place({ provider: local, audit: undefined })).toBe('/keys/audit');
    expect(place({ provider: local, audit: { archive: { type: 'file', folder: '/a' } } })).toBe('/a');
    expect(place({ provider: kms, audit: undefined }, { KEYTURN_AUDIT_BUCKET: 'made' })).toBe('s3://made/');
    const named = { archive: { type: 's3', bucket: 'mine', prefix: 'p/' } } as const;
    expect(place({ provider: kms, audit: named })).toBe('s3://mine/p/');
  });

  it('names the variable that is missing, when it is used', () => {
    const archive = openArchive({ provider: kms, audit: undefined }, { environment: {} });
    expect(() => archive.place).toThrow('KEYTURN_AUDIT_BUCKET');
  });
});
