import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Config, configSchema } from '../../../shared/config/schema.ts';
import type { Hold, TenantKey } from '../../../shared/keyring/key.ts';
import { backupHolds, holdsAfterSweep, prunedHolds, standingHolds } from '../../../shared/rotation/holds.ts';
import { keyWith } from '../../support/keys.ts';

/** Invariant 8: the latest backup that contains a version sets its hold. */

const DAY = 86_400;
const START = Date.parse('2026-01-01T00:00:00.000Z');
const day = (n: number) => START + n * DAY * 1000;
const at = (n: number) => new Date(day(n)).toISOString();

function configWith(retention: { main?: number; cold?: number; others?: number }): Config {
  const store = (days: number | undefined) => ({
    type: 'postgres',
    urlFrom: 'URL',
    ...(days === undefined ? {} : { backupRetentionSeconds: days * DAY }),
  });
  return configSchema.parse({
    provider: { type: 'local', keystore: 'k', keyFile: 'f' },
    stores: { main: store(retention.main), cold: store(retention.cold) },
    recordSets: {},
    rotation: {
      backupRetentionSeconds: (retention.others ?? 10) * DAY,
      graceSeconds: 3650 * DAY,
      clockSkewSeconds: 60,
    },
  });
}

function keyOf(serves: readonly string[], versions = 3): TenantKey {
  const key = keyWith({ keyId: '01900000-0000-7000-8000-000000000001', activatedAt: day(0) });
  const one = key.versions['1'];
  if (one === undefined) throw new Error('no version');
  const all = Array.from({ length: versions }, (_, i) => i + 1).map((version) => [
    version,
    { ...one, version, state: version === versions ? 'ACTIVE' : 'RETIRING' },
  ]);
  return {
    ...key,
    active: versions,
    versions: Object.fromEntries(all),
    serves: serves.map((store) => ({ store, table: 't', columns: ['c'] })),
  };
}

const short = (holds: readonly Hold[]) => holds.map(({ holdId, until }) => [holdId, until]);

describe('what backups still need', () => {
  it('is held for each store that the key serves, as long as that one keeps its backups', () => {
    const config = configWith({ main: 5, others: 30 });
    const holds = backupHolds(keyOf(['main', 'gone']), [1], config, at(1));
    expect(short(holds)).toEqual([
      ['backup/main/1', at(6)],
      // One that left the configuration may have backups all the same.
      ['backup/gone/1', at(31)],
    ]);
    expect(holds[0]).toMatchObject({
      versions: [1],
      reason: 'BACKUP',
      store: 'main',
      by: 'policy',
      at: at(1),
    });
  });

  it('is renewed by the latest sweep away from it, and never shortened, also by a clock that jumps back', () => {
    const config = configWith({ main: 5 });
    const key = keyOf(['main']);
    const first = { ...key, holds: backupHolds(key, [1], config, at(10)) };
    const again = { ...key, holds: backupHolds(first, [1], config, at(12)) };
    expect(again.holds).toHaveLength(1);
    expect(again.holds[0]?.at).toBe(at(12));
    expect(backupHolds(again, [1], config, at(3))).toEqual(again.holds);
    // A retention that was made shorter does not shorten what was promised.
    expect(short(backupHolds(again, [1], configWith({ main: 1 }), at(12)))).toEqual(short(again.holds));
  });

  it('stands longer once the retention was made longer, not shorter once it was made shorter', () => {
    const key = keyOf(['main']);
    const held = { ...key, holds: backupHolds(key, [1], configWith({ main: 5 }), at(0)) };
    const standsOn = (n: number, main: number) => standingHolds(held, 1, day(n), configWith({ main })).length;
    expect([standsOn(5, 5), standsOn(6, 5), standsOn(6, 9), standsOn(10, 9), standsOn(5, 1)]).toEqual([
      1, 0, 1, 0, 1,
    ]);
  });

  it('is kept until what it is on is destroyed, also once it has ended: a clock may be ahead', () => {
    const config = configWith({ main: 5 });
    let key = keyOf(['main', 'cold'], 40);
    for (let version = 1; version < 40; version++) {
      key = { ...key, holds: backupHolds(key, [version, 99], config, at(version)) };
    }
    // One a store and version; none on what is unknown.
    expect(key.holds).toHaveLength(2 * 39);
    const [, two] = Object.values(key.versions);
    if (two === undefined) throw new Error('no version');
    const destroyed = { ...key.versions, '39': { ...two, version: 39, state: 'DESTROYED' as const } };
    expect(prunedHolds({ ...key, versions: destroyed })).toHaveLength(2 * 38);
    const standsAt = (now: number) => standingHolds(key, 1, now, config).length;
    expect([standsAt(day(400)), standsAt(day(2))]).toEqual([0, 2]);
  });

  it('covers every backup that was taken before the last census (property)', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ on: fc.nat(60), days: fc.integer({ min: 0, max: 40 }) }), { minLength: 1 }),
        fc.nat(120),
        (sweeps, now) => {
          let key = keyOf(['main']);
          for (const { on, days } of sweeps) {
            key = { ...key, holds: backupHolds(key, [1], configWith({ main: days }), at(on)) };
          }
          const { days } = sweeps.at(-1) ?? { days: 0 };
          const last = Math.max(...sweeps.map(({ on }) => on));
          // The oldest backup that is kept now was taken `days` ago; it contains the version if it is from before `last`.
          const oldestKept = now - days;
          const standing = standingHolds(key, 1, day(now), configWith({ main: days }));
          if (sweeps.at(-1)?.on === last && oldestKept <= last && now >= last) {
            expect(standing).toHaveLength(1);
          }
        },
      ),
    );
  });
});

describe('a clean sweep', () => {
  const config = configWith({ main: 5 });
  const restore = (holdId: string, endedEpoch: number | null): Hold => ({
    holdId,
    versions: [1, 2, 3],
    reason: 'RESTORE',
    store: 'main',
    note: null,
    by: 'test',
    at: at(0),
    until: null,
    endedEpoch,
  });

  it('frees the restores that had ended when it began; their versions are in backups anew', () => {
    const holds = [restore('open', null), restore('ended', 2), restore('later', 4)];
    const key = { ...keyOf(['main']), holds };
    const after = holdsAfterSweep(key, { versions: [2], restoreEpoch: 3 }, config, at(1));
    expect(after.map(({ holdId }) => holdId)).toEqual(['open', 'later', 'backup/main/2', 'backup/main/1']);
  });

  it('that began before the end frees nothing', () => {
    const key = { ...keyOf(['main']), holds: [restore('ended', 2)] };
    const after = holdsAfterSweep(key, { versions: [], restoreEpoch: 1 }, config, at(1));
    expect(after).toEqual(key.holds);
  });
});

describe('the configuration', () => {
  it('has no grace shorter than the backups of any store live', () => {
    const parse = (acceptShortGrace: boolean) =>
      configSchema.safeParse({
        provider: { type: 'local', keystore: 'k', keyFile: 'f' },
        stores: { cold: { type: 'postgres', urlFrom: 'URL', backupRetentionSeconds: 90 * DAY } },
        recordSets: {},
        rotation: { graceSeconds: 60 * DAY, acceptShortGrace },
      });
    expect(parse(true).success).toBe(true);
    expect(parse(false).error?.issues).toMatchObject([
      { path: ['rotation', 'graceSeconds'], message: expect.stringContaining('"cold"') },
    ]);
  });
});
