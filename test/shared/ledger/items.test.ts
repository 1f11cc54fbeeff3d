import { describe, expect, it } from 'vitest';
import { UnreadableItemError } from '../../../shared/errors/errors.ts';
import { marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { STORED_WITH } from '../../../shared/ledger/attributes.ts';
import { jobSchema, parseItem, type Readable, tenantKeySchema } from '../../../shared/ledger/items.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';

const KEY = { name: 'key', schema: tenantKeySchema, storedWith: STORED_WITH.audited };
const JOB = { name: 'job', schema: jobSchema, storedWith: STORED_WITH.audited };

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
    expect(parseItem(KEY, item)).toEqual(key);
  });

  it('a job that knows of no pause', () => {
    const { pause: _, ...old } = testJob();
    expect(parseItem(JOB, marshalItem(old))).toEqual(testJob());
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
    expect(parseItem(KEY, marshalItem(changed))).toEqual(changed);
    const job = testJob({ status: 'PAUSED', pause: { reason: 'PERSON', rootKeyId: null, by: null, at } });
    expect(parseItem(JOB, marshalItem(job))).toEqual(job);
  });
});

describe('what a newer release wrote besides', () => {
  const AT = '2026-01-01T00:00:00.000Z';
  const SECRET = 'a value';
  const version = testKey().versions['1'];
  const hold = {
    ...{ holdId: 'h', versions: [1], reason: 'PERSON' as const, store: null, note: null, by: 'olaf' },
    ...{ at: AT, until: null, endedEpoch: null },
  };
  const blocker = { code: 'STALE_RECORDS', message: 'm', at: AT };

  const grown = <Part extends object | undefined>(part: Part) => ({ ...part, later: SECRET });

  it.each<[string, Readable<unknown>, object]>([
    ['later', KEY, grown(testKey())],
    ['holds.0.later', KEY, testKey({ holds: [grown(hold)] })],
    ['versions.1.later', KEY, { ...testKey(), versions: { '1': grown(version) } }],
    [
      'versions.1.wrapped.later',
      KEY,
      { ...testKey(), versions: { '1': { ...version, wrapped: grown(version?.wrapped ?? undefined) } } },
    ],
    ['later', JOB, grown(testJob())],
    ['times.later', JOB, { ...testJob(), times: grown(testJob().times) }],
    [
      'versions.1.suspended.later',
      KEY,
      {
        ...testKey(),
        versions: { '1': { ...version, suspended: grown({ reason: 'PERSON', rootKeyId: null, at: AT }) } },
      },
    ],
    [
      'pause.later',
      JOB,
      { ...testJob(), pause: grown({ reason: 'PERSON', rootKeyId: null, by: null, at: AT }) },
    ],
    ['blocker.later', JOB, { ...testJob(), blocker: grown(blocker) }],
  ])('is refused by its name, wherever it stands: %s', (name, kind, item) => {
    const parse = () => parseItem({ ...kind, name: 'thing' }, marshalItem(item));
    expect(parse).toThrow(UnreadableItemError);
    expect(parse).toThrow(
      expect.objectContaining({
        code: 'LEDGER_ITEM_INVALID',
        message: `An item of the ledger (thing) has what this release does not know: ${name}`,
        remedy: 'A newer release of Keyturn wrote it: deploy that release, or finish the deployment.',
        // Whoever holds a key for an outage does not hold it for this.
        retryable: false,
      }),
    );
    expect(parse).not.toThrow(SECRET);
  });

  it('is told from what somebody damaged', () => {
    const { requestedBy: _, ...damaged } = testJob();
    const parse = () => parseItem(JOB, marshalItem(damaged));
    expect(parse).toThrow('An item of the ledger (job) has no valid requestedBy');
  });

  it('is not what an item is stored with, kind by kind', () => {
    const stored = { pk: 'JOB#1', sk: 'JOB', mac: 'm', writeId: 'w', list: 'job', order: 'o' };
    const item = { ...testJob(), ...stored, pendingAudit: { eventId: 'e' }, pendingAuditMac: 'm' };
    expect(parseItem(JOB, marshalItem(item))).toEqual(testJob());
    const round = { ...JOB, storedWith: STORED_WITH.created };
    expect(() => parseItem(round, marshalItem(item))).toThrow('list, order, pendingAudit, pendingAuditMac');
  });
});
