import { describe, expect, it } from 'vitest';
import { marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { jobSchema, parseItem, tenantKeySchema } from '../../../shared/ledger/items.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';

/** Items that an earlier release wrote are read by this one. */
describe('an item of an earlier release', () => {
  it('a key whose versions know of no suspension, material or former wrapping', () => {
    const key = testKey();
    const versions = Object.entries(key.versions).map(([name, version]) => {
      const { suspended: _, formerWrapped: __, wrapped, ...old } = version;
      const { materialId: ___, ...oldWrapped } = wrapped ?? { materialId: null };
      return [name, { ...old, wrapped: oldWrapped }];
    });
    const item = marshalItem({ ...key, versions: Object.fromEntries(versions) });
    expect(JSON.stringify(item)).not.toMatch(/suspended|formerWrapped|materialId/);
    expect(parseItem(tenantKeySchema, item, 'key')).toEqual(key);
  });

  it('a job that knows of no pause', () => {
    const { pause: _, ...old } = testJob();
    expect(parseItem(jobSchema, marshalItem(old), 'job')).toEqual(testJob());
  });
});

describe('the new attributes', () => {
  it('come back as they were written', () => {
    const at = '2026-01-01T00:00:00.000Z';
    const key = testKey();
    const [version] = Object.values(key.versions);
    if (version === undefined) throw new Error('no version');
    const changed = {
      ...key,
      versions: {
        '1': {
          ...version,
          formerWrapped: version.wrapped,
          suspended: { reason: 'ROOT_KEY' as const, rootKeyId: 'r', at },
        },
      },
    };
    expect(parseItem(tenantKeySchema, marshalItem(changed), 'key')).toEqual(changed);
    const job = testJob({ status: 'PAUSED', pause: { reason: 'PERSON', rootKeyId: null, by: null, at } });
    expect(parseItem(jobSchema, marshalItem(job), 'job')).toEqual(job);
  });
});
