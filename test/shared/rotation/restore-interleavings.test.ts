import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inspect } from '../../../shared/envelope/index.ts';
import { KeyturnError } from '../../../shared/errors/errors.ts';
import { beginRestore } from '../../../shared/rotation/begin-restore.ts';
import { endRestore, resweepRestored } from '../../../shared/rotation/end-restore.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import type { Restore } from '../../../shared/rotation/restore.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import type { MemoryRow } from '../../../simulation/models/record-store.ts';
import { type Around, runPurge, runRotation } from '../../support/memory-machine.ts';
import { FIELDS, KEY, prepareWorlds, type World, type WorldMaker } from '../../support/memory-world.ts';

/**
 * Protocol invariants 1, 2 and 9, whatever happens in whatever order: no record that is live, or in a backup that is kept
 * or registered, names a version that is destroyed; and every live one opens to what was written.
 */

let worlds: WorldMaker;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());

const DAY = 86_400;
const RECORDS = 3;
const ROTATION = { maxRounds: 5 };

interface Backup {
  readonly at: number;
  readonly rows: ReadonlyMap<string, MemoryRow>;
  readonly texts: ReadonlyMap<number, string>;
  /** null: not registered, or refused. */
  restore: Restore | null;
}

interface Play {
  readonly world: World;
  texts: Map<number, string>;
  readonly backups: Backup[];
  readonly counts: Map<string, number>;
  written: number;
}

/** What may happen also in the middle of a rotation or a purge. `pick` chooses among backups or records. */
const SUDDEN = ['write', 'write late', 'back up', 'begin', 'copy back', 'end', 'an hour', 'a month'] as const;
const LONG = ['rotate', 'purge', 'daily'] as const;
type Happening = (typeof SUDDEN)[number] | (typeof LONG)[number];

interface Act {
  readonly what: Happening;
  readonly pick: number;
}

const sudden: fc.Arbitrary<Act> = fc.record({ what: fc.constantFrom(...SUDDEN), pick: fc.nat(20) });
const any: fc.Arbitrary<Act> = fc.record({
  what: fc.constantFrom<Happening>(...SUDDEN, ...LONG, 'rotate', 'purge', 'a month', 'copy back'),
  pick: fc.nat(20),
});

function count(play: Play, what: string): void {
  play.counts.set(what, (play.counts.get(what) ?? 0) + 1);
}

async function act(play: Play, { what, pick }: Act, meanwhile: Act[]): Promise<void> {
  const { world } = play;
  const backup = play.backups[pick % Math.max(1, play.backups.length)];
  const id = (pick % RECORDS) + 1;
  switch (what) {
    case 'write':
      return write(play, id);
    case 'write late': {
      // An application whose cache has not expired still seals under the version before.
      const { active, versions } = await world.key();
      const { activatedAt } = versions[String(active)] ?? {};
      const age = world.clock.now() - Date.parse(activatedAt ?? '');
      const { cacheMaxAgeSeconds } = world.deps.config.rotation;
      const before = versions[String(active - 1)];
      if (before?.state === 'RETIRING' && age < cacheMaxAgeSeconds * 1000) {
        count(play, what);
        await write(play, id, before.version);
      }
      return;
    }
    case 'back up':
      play.backups.push({
        at: world.clock.now(),
        rows: structuredClone(world.people.rows),
        texts: new Map(play.texts),
        restore: null,
      });
      return;
    case 'begin':
      if (backup === undefined) return;
      backup.restore = await refusable(play, what, async () => {
        const { restore } = await beginRestore(world.deps, {
          store: 'main',
          backupTime: new Date(backup.at).toISOString(),
          requestedBy: 'test',
        });
        return restore;
      });
      return;
    case 'copy back':
      if (backup?.restore === null || backup === undefined) return;
      count(play, what);
      world.people.rows.clear();
      for (const [name, row] of structuredClone(backup.rows)) world.people.rows.set(name, row);
      play.texts = new Map(backup.texts);
      return;
    case 'end': {
      if (backup?.restore === null || backup === undefined) return;
      const { restoreId } = backup.restore;
      backup.restore = null;
      for (const other of play.backups) if (other.restore?.restoreId === restoreId) other.restore = null;
      await refusable(play, what, () => endRestore(world.deps, restoreId, 'test'));
      return;
    }
    case 'an hour':
      return world.pass(3600);
    case 'a month':
      return world.pass(37 * DAY);
    case 'daily':
      await refusable(play, what, async () => resweepRestored(world.deps, await world.key(), 'daily sweep'));
      return runAll(play, meanwhile);
    case 'rotate':
      await refusable(play, what, () => requestRotation(world.deps, KEY));
      return runAll(play, meanwhile);
    case 'purge': {
      for (const { version, state } of Object.values((await world.key()).versions)) {
        if (state !== 'RETIRING' && state !== 'DESTROY_PENDING') continue;
        const asked = await refusable(play, what, () => requestPurge(world.deps, { ...KEY, version }));
        if (asked === null || asked.answer === 'completed') continue;
        const around = interleave(play, meanwhile);
        const destroyed = await refusable(play, 'purge run', () => runPurge(world, asked.job.jobId, around));
        if (destroyed === true) count(play, 'destroyed');
      }
    }
  }
}

/** Every rotation and sweep that was asked for, to its end. */
async function runAll(play: Play, meanwhile: Act[]): Promise<void> {
  const { world } = play;
  for (let tries = 0; tries < 4; tries++) {
    const { rotationId } = await world.key();
    const jobs = await world.ledger.listJobs({ kind: 'rotate' });
    const job =
      jobs.find(({ jobId }) => jobId === rotationId) ?? jobs.find(({ status }) => status === 'REQUESTED');
    if (job === undefined || job.status === 'COMPLETED') return;
    await refusable(play, 'run', () => runRotation(world, job.jobId, interleave(play, meanwhile)));
  }
}

function interleave(play: Play, meanwhile: Act[]): Around {
  return async (_, step) => {
    const next = meanwhile.shift();
    if (next !== undefined) await act(play, next, []);
    const result = await step();
    await check(play);
    return result;
  };
}

/** null: it was refused, with a code. Anything else is a bug. */
async function refusable<T>(play: Play, what: string, run: () => Promise<T>): Promise<T | null> {
  try {
    const result = await run();
    count(play, what);
    return result;
  } catch (error) {
    if (!(error instanceof KeyturnError)) throw error;
    count(play, `${what}: ${error.code}`);
    return null;
  }
}

async function write(play: Play, id: number, version?: number): Promise<void> {
  play.written += 1;
  const text = `person ${id} written ${play.written}`;
  await play.world.write(play.world.people, id, text, version);
  play.texts.set(id, text);
}

async function check(play: Play): Promise<void> {
  const { world, backups, texts } = play;
  const key = await world.key();
  const retention = world.deps.config.rotation.backupRetentionSeconds * 1000;
  const kept = backups.filter(({ at, restore }) => restore !== null || world.clock.now() - at <= retention);
  for (const rows of [world.people.rows, ...kept.map((backup) => backup.rows)]) {
    for (const { values } of rows.values()) {
      for (const value of values) {
        if (value !== null) expect(key.versions[String(inspect(value).version)]?.state).not.toBe('DESTROYED');
      }
    }
  }
  for (const [id, text] of texts) {
    expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `${text} ${field}`));
  }
}

describe('rotations, purges, restores and writes in any order', () => {
  it('leave no record, live or in a backup that is kept or registered, without its version', {
    timeout: 120_000,
  }, async () => {
    const counts = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.array(any, { minLength: 10, maxLength: 30 }),
        fc.array(sudden, { maxLength: 25 }),
        async (acts, meanwhile) => {
          const world = await worlds.makeWorld(createMemoryLedger(), ROTATION);
          const play: Play = { world, texts: new Map(), backups: [], counts, written: 0 };
          for (let id = 1; id <= RECORDS; id++) await write(play, id);
          const between = [...meanwhile];
          for (const next of acts) {
            await act(play, next, between);
            await check(play);
          }
        },
      ),
      { numRuns: 60, seed: 1 },
    );
    // It says nothing unless it gets there.
    for (const what of ['destroyed', 'begin', 'copy back', 'end', 'begin: RESTORE_REFUSED', 'write late']) {
      expect(counts.get(what) ?? 0, what).toBeGreaterThan(0);
    }
  });
});
