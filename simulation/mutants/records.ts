import type { Mutant } from './mutant.ts';

/** Breaks of the worker and of what it counts. */
export const RECORD_MUTANTS: readonly Mutant[] = [
  {
    name: 'no-compare-and-set',
    breaks: 'the worker writes without a look at what stands there by now',
    rules: ['2', '10', '12', '14'],
    needs: ['kms-latency', 'store-throttled'],
    profile: 'busy',
    edits: [
      {
        file: 'simulation/models/record-store.ts',
        from: 'isSame(row.values[field], before)),',
        to: 'before.length > 0 && row.values[field] !== undefined),',
      },
    ],
  },
  {
    name: 'compare-the-version-only',
    breaks: "the worker's compare-and-set is on the version, not on the bytes",
    rules: ['2', '10', '14'],
    needs: ['kms-latency', 'store-throttled'],
    profile: 'busy',
    edits: [
      {
        file: 'simulation/models/record-store.ts',
        from: 'isSame(row.values[field], before)),',
        to: 'nameOf(row.values[field] ?? new Uint8Array())?.version === nameOf(before)?.version),',
      },
    ],
  },
  {
    name: 'poison-blocks-the-sweep',
    breaks: 'one record that cannot be worked on keeps the whole rotation from its end',
    rules: ['17'],
    needs: ['truncated', 'bit-flipped'],
    profile: 'purge',
    edits: [
      {
        file: 'shared/rotation/conclude-round.ts',
        from: "  if (left <= 0 && unread.length === 0) return { outcome: 'CLEAN' };",
        to: "  if (left <= 0 && quarantined === 0 && unread.length === 0) return { outcome: 'CLEAN' };",
      },
      {
        file: 'shared/rotation/conclude-round.ts',
        from: "      code: 'STALE_RECORDS',",
        to: "      code: left > 0 ? 'STALE_RECORDS' : 'QUARANTINED_RECORDS',",
      },
    ],
  },
  {
    name: 'rewrap-is-not-verified',
    breaks: 'a new wrapping is given out that was not unwrapped and compared, under random key bytes',
    rules: ['2', '14'],
    edits: [
      {
        file: 'shared/keyring/cached-keyring.ts',
        from: '    if (keyCheck(kek, keyId, version.version) !== version.check) throw keyCheckFailed(keyId, version.version);\n',
        to: '',
      },
      {
        file: 'shared/keyring/cached-keyring.ts',
        from: '    return createKek({ keyId, version: version.version, key: kek });',
        to: '    return createKek({ keyId, version: version.version, key: version.version === 2 ? createSecretKey(Buffer.alloc(32, 7)) : kek });',
      },
      {
        file: 'shared/keyring/cached-keyring.ts',
        from: "import type { Clock } from '../clock/clock.ts';",
        to: "import { createSecretKey } from 'node:crypto';\nimport type { Clock } from '../clock/clock.ts';",
      },
    ],
  },
  {
    name: 'rewrap-touches-the-ciphertext',
    breaks: 'a rewrap changes a byte of the ciphertext',
    rules: ['2', '11'],
    edits: [
      {
        file: 'shared/envelope/batch.ts',
        from: '      writeVersion(bytes, end, batch.to.version);',
        to: '      writeVersion(bytes, end, batch.to.version);\n      if (start + 40 < end) bytes[start + 20] = (bytes[start + 20] ?? 0) ^ 1;',
      },
    ],
  },
  {
    name: 'wrong-version-written',
    breaks: 'a rewrapped envelope names the version that it left',
    rules: ['2'],
    edits: [
      {
        file: 'shared/envelope/batch.ts',
        from: '      writeVersion(bytes, end, batch.to.version);',
        to: '      writeVersion(bytes, end, batch.to.version > 2 ? 1 : batch.to.version);',
      },
    ],
  },
  {
    name: 'worker-lowers-a-version',
    breaks: 'a worker with a stale cache brings records back to the version that it knows',
    rules: ['12'],
    needs: ['queue-duplicate'],
    profile: 'hasty',
    edits: [
      {
        file: 'shared/rotation/rewrap-records.ts',
        from: '  if (cached.version === job.to) return cached;',
        to: '  return cached;',
      },
      {
        file: 'shared/rotation/rewrap-records.ts',
        from: '    else if (active !== target.version) {',
        to: '    else if (active === 0) {',
      },
      {
        file: 'shared/rotation/process-chunk.ts',
        from: '      if (wall < 0 || Math.max(wall, clock.monotonic() - began.monotonic) > limit * 1000) {',
        to: '      if (wall < -1e15) {',
      },
    ],
  },
  {
    name: 'counted-twice',
    breaks: 'a chunk that is delivered again is counted again',
    rules: ['15'],
    needs: ['queue-duplicate'],
    edits: [
      {
        file: 'simulation/models/ledger.ts',
        from: 'unique.filter(({ chunk }) => !page.done.includes(chunk))',
        to: 'unique',
      },
    ],
  },
  {
    name: 'counts-do-not-sum',
    breaks: 'a chunk reports more records than it was planned with',
    rules: ['15'],
    edits: [
      {
        file: 'shared/rotation/process-chunk.ts',
        from: 'report: { chunk, counts: { rewrapped, quarantined, skipped: planned - rewrapped - quarantined } },',
        to: 'report: { chunk, counts: { rewrapped, quarantined, skipped: planned } },',
      },
    ],
  },
  {
    name: 'low-water-mark-jumps',
    breaks: 'the mark moves over pages that are not finished',
    rules: ['15', '16'],
    edits: [
      {
        file: 'shared/rotation/roll-up.ts',
        from: '    const finished = firstOpen === -1 ? open : open.slice(0, firstOpen);',
        to: '    const finished = firstOpen >= 0 ? open : open.slice(0, open.length);',
      },
      {
        file: 'shared/rotation/roll-up.ts',
        from: '  return page.done.length === page.plan.chunks.length;',
        to: '  return page.done.length * 2 >= page.plan.chunks.length;',
      },
    ],
  },
  {
    name: 'outage-quarantines',
    breaks: 'records that could not be read because their root key was out of reach are set aside as bad',
    rules: ['17', '22'],
    needs: ['root-key-disabled', 'kms-error'],
    edits: [
      {
        file: 'shared/rotation/rewrap-records.ts',
        from: '      if (!unusable) throw error;',
        to: '      if (!unusable && version > 1000) throw error;',
      },
    ],
  },
  {
    name: 'application-keeps-its-key',
    breaks: 'an application goes on sealing under the version that it once cached',
    rules: ['5'],
    profile: 'busy',
    edits: [
      {
        file: 'shared/keyring/aged-cache.ts',
        from: '  const isFresh = (entry: Aged<T>): boolean => since(entry.loadedAt) < limits.maxAge;',
        to: '  const isFresh = (entry: Aged<T>): boolean => entry.load >= 0;',
      },
    ],
  },
];
