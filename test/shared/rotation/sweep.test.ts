import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { inspect } from '../../../shared/envelope/index.ts';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { concludeRound } from '../../../shared/rotation/conclude-round.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { planSweep } from '../../../shared/rotation/plan-sweep.ts';
import { readProgress, sumProgress } from '../../../shared/rotation/progress.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { retryQuarantined } from '../../../shared/rotation/quarantine.ts';
import { requestAdoption, requestRotation } from '../../../shared/rotation/request-job.ts';
import { retireVersion } from '../../../shared/rotation/retire-version.ts';
import type { RotationMode } from '../../../shared/rotation/rotation.ts';
import { takeCensus } from '../../../shared/rotation/take-census.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { deliver, list, runRotation, untilDone, workOn } from '../../support/memory-machine.ts';
import {
  Crash,
  FIELDS,
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  TENANT,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 8);
});

const ALL = 12;

async function progressOf(jobId: string) {
  return sumProgress(await readProgress(world.deps, await world.job(jobId)));
}

/** A rotation up to its first plan; nothing is listed yet. */
async function begin(mode: RotationMode = 'rewrap') {
  const { job } = await requestRotation(world.deps, { ...KEY, mode });
  await createVersion(world.deps, job.jobId);
  await proveVersion(world.deps, job.jobId);
  await activateVersion(world.deps, job.jobId);
  const { segments } = await planSweep(world.deps, job.jobId);
  return { jobId: job.jobId, segments };
}

async function listAll(segments: Awaited<ReturnType<typeof begin>>['segments']) {
  for (const task of segments) await list(world, task, async () => {});
}

const rowOf = (id: number) => {
  const row = world.people.rows.get(JSON.stringify([String(id)]));
  if (row === undefined) throw new Error(`no row ${id}`);
  return row;
};

async function expectAllOpen() {
  for (let id = 1; id <= 8; id++)
    expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
}

describe('listing', () => {
  it('sends the chunks again that a crash between plan and send left out, and counts each once', async () => {
    const { jobId, segments } = await begin();
    let crashes = 0;
    world.faults.before = (call) => {
      if (call === 'queue.send' && crashes++ < 3) throw new Crash(call);
    };
    await untilDone(world, () => listAll(segments));
    expect(crashes).toBeGreaterThanOrEqual(3);
    expect(await progressOf(jobId)).toMatchObject({ planned: ALL, remaining: ALL });
    await deliver(world);
    expect(await progressOf(jobId)).toMatchObject({
      planned: ALL,
      rewrapped: ALL,
      remaining: 0,
      listed: true,
    });
    expect(world.versions(world.people)).toEqual([2]);
  });

  it('sends no chunk of a page again that the same execution surely sent', async () => {
    const { segments } = await begin();
    await listAll(segments);
    const sent = world.queue.length;
    for (const task of segments) await list(world, { ...task, ...{ queued: 1 } }, async () => {});
    expect(world.queue.length).toBe(sent);
    await listAll(segments);
    expect(world.queue.length).toBe(2 * sent);
  });

  it('counts what was worked on before it was sent again as skipped', async () => {
    const { jobId, segments } = await begin();
    await listAll(segments);
    const messages = world.queue.splice(0);
    // Done, but never reported: the worker died in between.
    for (const message of messages) {
      world.faults.before = (call) => {
        if (call.startsWith('ledger.report')) throw new Crash(call);
      };
      await workOn(world, [message]);
      world.faults.before = () => {};
      world.restart();
    }
    expect(world.versions(world.people)).toEqual([2]);
    await listAll(segments);
    await deliver(world);
    expect(await progressOf(jobId)).toMatchObject({ planned: ALL, rewrapped: 0, skipped: ALL, remaining: 0 });
  });

  it('lists to the end of large segments in many pages, with workers in between', async () => {
    const large = await worlds.makeWorld(createMemoryLedger(), { chunkSize: 1, segments: 1 });
    await fill(large, 430);
    const { job } = await requestRotation(large.deps, KEY);
    let rests = 0;
    const work = async (at: World) => {
      rests += 1;
      await deliver(at);
    };
    expect(await runRotation(large, job.jobId, undefined, work)).toBe('CLEAN');
    // A lister waited for its workers when 40 pages were open: the queue stays short.
    expect(rests).toBeGreaterThan(1);
    const total = sumProgress(await readProgress(large.deps, await large.job(job.jobId)));
    expect(total).toMatchObject({ planned: 645, rewrapped: 645, remaining: 0 });
  });
});

describe('delivery', () => {
  it.each([1, 2, 3, 4, 5])('is counted exactly under duplicates in any order (seed %i)', async (seed) => {
    const { jobId, segments } = await begin(seed % 2 === 0 ? 're-encrypt' : 'rewrap');
    await listAll(segments);
    let state = seed;
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((state / 2 ** 31) * below);
    };
    const deliveries = [...world.queue, ...world.queue, ...world.queue];
    while (deliveries.length > 0) {
      const batch = deliveries.splice(random(deliveries.length), 1 + random(3));
      if (random(4) === 0) world.restart();
      expect(await workOn(world, batch)).toEqual([]);
      const { planned, rewrapped, skipped, quarantined, remaining } = await progressOf(jobId);
      expect(rewrapped + skipped + quarantined + remaining).toBe(planned);
      expect(planned).toBe(ALL);
    }
    expect(await progressOf(jobId)).toMatchObject({ quarantined: 0, remaining: 0 });
    expect([...world.versions(world.people), ...world.versions(world.notes)]).toEqual([2, 2]);
    await expectAllOpen();
  });

  it('of the same chunk several times in one batch counts what was done, not what the last one found', async () => {
    const { jobId, segments } = await begin();
    await listAll(segments);
    for (const message of world.queue) expect(await workOn(world, [message, message, message])).toEqual([]);
    expect(await progressOf(jobId)).toMatchObject({ rewrapped: ALL, skipped: 0, remaining: 0 });
  });

  it('to a process that still has the old version cached rewraps all the same', async () => {
    const warm = await world.deps.keyring.active(TENANT, PURPOSE);
    expect(warm.version).toBe(1);
    const { jobId, segments } = await begin();
    expect((await world.deps.keyring.active(TENANT, PURPOSE)).version).toBe(1);
    await listAll(segments);
    await deliver(world);
    expect(await progressOf(jobId)).toMatchObject({ rewrapped: ALL, skipped: 0 });
  });

  it('of a late message, to a process that knows no later version, lowers and quarantines nothing', async () => {
    const first = await requestRotation(world.deps, KEY);
    const late: typeof world.queue = [];
    await runRotation(world, first.job.jobId, undefined, async (at) => {
      late.push(...at.queue);
      await deliver(at);
    });
    const { job } = await requestRotation(world.deps, KEY);
    await createVersion(world.deps, job.jobId);
    await proveVersion(world.deps, job.jobId);
    expect((await world.deps.keyring.active(TENANT, PURPOSE)).version).toBe(2);
    await activateVersion(world.deps, job.jobId);
    await world.write(world.people, 1, 'person 1', 3);
    expect((await world.deps.keyring.active(TENANT, PURPOSE)).version).toBe(2);
    expect(await workOn(world, late)).toEqual([]);
    expect(await world.ledger.listQuarantined((await world.key()).keyId)).toEqual([]);
    expect(rowOf(1).values.map((value) => value && inspect(value).version)).toEqual([3, 3]);
    await expectAllOpen();
  });

  it('sets a record aside that names a version the key never had, and blocks nothing else', async () => {
    const row = rowOf(3);
    const value = Uint8Array.from(row.values[0] ?? []);
    // The version is the last four bytes of the kid, which stands before the 40 bytes of the wrapped DEK.
    const forged = findVersion(value, 9);
    row.values[0] = forged;
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    const [set, ...none] = await world.ledger.listQuarantined((await world.key()).keyId);
    expect(none).toEqual([]);
    expect(set).toMatchObject({ recordId: ['3'], field: 'email', code: 'VERSION_UNKNOWN', version: 9 });
    const { values } = rowOf(3);
    expect(values[0]).toBe(forged);
    // Its other field was worked on.
    expect(values[1] && inspect(values[1]).version).toBe(2);
    const ended = await world.job(job.jobId);
    expect(ended).toMatchObject({ status: 'COMPLETED', blocker: null, census: { stale: 1 } });
    expect(await progressOf(job.jobId)).toMatchObject({ rewrapped: ALL - 1, quarantined: 1, remaining: 0 });
  });

  it.each([
    ['forward, past the age of a key', 361_000],
    ['backward', -1],
  ])('writes nothing when the clock jumps %s during a chunk', async (_, jump) => {
    const { jobId, segments } = await begin();
    await listAll(segments);
    const calls: string[] = [];
    world.faults.after = (call) => {
      calls.push(call);
      if (call.startsWith('store.read')) world.clock.jumpTo(world.clock.now() + jump);
    };
    const [message] = world.queue;
    if (message === undefined) throw new Error('no message');
    expect(await workOn(world, [message])).toEqual([message]);
    expect(calls.filter((call) => call.startsWith('store.replace'))).toEqual([]);
    expect(calls.filter((call) => call.startsWith('ledger.report'))).toEqual([]);
    expect(world.versions(world.people)).toEqual([1]);
    world.faults.after = () => {};
    await deliver(world);
    expect(await progressOf(jobId)).toMatchObject({ rewrapped: ALL, remaining: 0 });
  });

  it('lets the application win that writes between read and write', async () => {
    const { segments } = await begin();
    await listAll(segments);
    let writes = 0;
    const changeAll = async () => {
      for (let id = 1; id <= 8; id++) await world.write(world.people, id, `changed ${id}`, 1);
    };
    let changed: Promise<void> | undefined;
    world.faults.before = async (call) => {
      if (!call.startsWith('store.replace')) return;
      writes += 1;
      // No chunk is written before the application has: what it writes after a rewrap is the next round's.
      changed ??= changeAll();
      await changed;
    };
    await deliver(world);
    expect(writes).toBeGreaterThan(1);
    for (let id = 1; id <= 8; id++)
      expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `changed ${id} ${field}`));
    expect(world.versions(world.people)).toEqual([2]);
  });
});

/** The same envelope, naming another version. */
function findVersion(value: Uint8Array, version: number): Uint8Array {
  const { kid } = inspect(value);
  const at = Buffer.from(value).lastIndexOf(kid);
  const changed = Uint8Array.from(value);
  new DataView(changed.buffer).setUint32(at + 16, version);
  return changed;
}

describe('the end of a round', () => {
  /** Two values that no key opens. */
  const spoil = () => {
    const row = rowOf(5);
    for (const [i, value] of row.values.entries()) {
      const changed = Uint8Array.from(value ?? []);
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
      row.values[i] = changed;
    }
  };

  it('is clean with nothing but quarantined values left, which keep their version', async () => {
    spoil();
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    const { keyId } = await world.key();
    const set = await world.ledger.listQuarantined(keyId);
    expect(set.map(({ code, version, field }) => [code, version, field]).sort()).toEqual([
      ['DECRYPTION_FAILED', 1, 'email'],
      ['DECRYPTION_FAILED', 1, 'phone'],
    ]);
    expect(await world.job(job.jobId)).toMatchObject({ census: { stale: 2, onVersion: 2 } });
    // One record with two fields counts as one record.
    expect(await progressOf(job.jobId)).toMatchObject({ rewrapped: ALL - 1, quarantined: 1 });

    // Repaired by the application and tried again: settled.
    await world.write(world.people, 5, 'person 5', 1);
    expect(await retryQuarantined(world.deps, set, 10)).toBe(1);
    await deliver(world);
    expect(world.versions(world.people)).toEqual([2]);
    const next = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, next.job.jobId)).toBe('CLEAN');
    expect(await world.ledger.listQuarantined(keyId)).toEqual([]);
  });

  it.each([
    ['plaintext that an adoption could not seal', { recordSet: 'people', recordId: ['99'], version: null }],
    ['a record set that is declared no longer', { recordSet: 'gone', recordId: ['1'], version: 1 }],
  ])('is not clean because of %s: that hides no stale value', async (_, set) => {
    const { keyId } = await world.key();
    world.people.rows.set('["99"]', {
      key: ['99'],
      tenant: TENANT,
      values: [null, null],
      plaintext: [Buffer.from('x'), null],
    });
    const adoption = await requestAdoption(world.deps, {
      tenant: TENANT,
      recordSet: 'people',
      requestedBy: 'test',
    });
    for (const field of FIELDS) {
      await world.ledger.putQuarantined({
        ...set,
        keyId,
        tenant: TENANT,
        purpose: PURPOSE,
        field,
        code: 'ENVELOPE_ARGUMENT',
        jobId: adoption.job.jobId,
        at: world.clock.timestamp(),
      });
    }
    const { job } = await requestRotation(world.deps, KEY);
    let rounds = 0;
    const stale = async (at: World) => {
      await deliver(at);
      // A writer with an old cache: two values on the version that the rotation leaves, as many as are set aside.
      if (rounds++ === 0) await at.write(at.people, 7, 'person 7', 1);
    };
    expect(await runRotation(world, job.jobId, undefined, stale)).toBe('CLEAN');
    expect(world.versions(world.people)).toEqual([2]);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', round: 2, census: { stale: 0 } });
  });

  /** Loses every message: round after round nothing is done. */
  const loseAll = async (at: World) => {
    at.queue.length = 0;
    at.pass(200);
  };

  it('is blocked when the rounds are over, names what is left, and goes on with a new attempt', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId, undefined, loseAll)).toBe('BLOCKED');
    const blocked = await world.job(job.jobId);
    expect(blocked).toMatchObject({
      status: 'BLOCKED',
      attempt: 1,
      round: 3,
      blocker: { code: 'STALE_RECORDS' },
    });
    expect(blocked.blocker?.message).toBe(
      'After 3 rounds 24 values are not on the active version and not quarantined (notes: 8 on version 1; people: 16 on version 1)',
    );
    expect(await world.key()).toMatchObject({ rotationId: job.jobId, active: 2 });
    expect(await progressOf(job.jobId)).toMatchObject({ rewrapped: 0, remaining: ALL, planned: ALL });

    const again = await requestRotation(world.deps, KEY);
    expect(again).toMatchObject({
      answer: 'resumed',
      job: { jobId: job.jobId, attempt: 2, status: 'REQUESTED', maxRounds: 6, blocker: null },
    });
    expect([...world.executions.keys()]).toEqual([`${job.jobId}-1`, `${job.jobId}-2`]);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', round: 4, to: 2 });
    expect(Object.keys((await world.key()).versions)).toEqual(['1', '2']);
  });

  it('gives the answer that stands in the ledger when it is repeated, whatever was quarantined since', async () => {
    const { jobId, segments } = await begin();
    await world.ledger.replaceJob({
      ...(await world.job(jobId)),
      status: 'CENSUS',
      revision: (await world.job(jobId)).revision + 1,
    });
    for (const task of segments) await takeCensus(world.deps, task);
    expect(await concludeRound(world.deps, jobId, 1)).toEqual({ outcome: 'SWEEP_AGAIN' });
    const { keyId } = await world.key();
    for (const store of [world.people, world.notes]) {
      for (const { key } of store.rows.values()) {
        for (const field of FIELDS) {
          const { recordSet } = store;
          const at = world.clock.timestamp();
          const set = { keyId, tenant: TENANT, purpose: PURPOSE, recordSet, recordId: key, field, jobId, at };
          await world.ledger.putQuarantined({ ...set, code: 'DECRYPTION_FAILED', version: 1 });
        }
      }
    }
    expect(await concludeRound(world.deps, jobId, 1)).toEqual({ outcome: 'SWEEP_AGAIN' });
    // And a retirement that comes at such a moment leaves the key alone.
    await expect(retireVersion(world.deps, jobId)).rejects.toMatchObject({ code: 'ROTATION_STATE' });
    expect(await world.key()).toMatchObject({ rotationId: jobId });
    expect((await world.key()).versions['1']?.purgeNotBefore).toBeNull();
  });

  it('is no census while a segment was not counted', async () => {
    const { jobId, segments } = await begin();
    await listAll(segments);
    await deliver(world);
    await world.ledger.replaceJob({
      ...(await world.job(jobId)),
      status: 'CENSUS',
      revision: (await world.job(jobId)).revision + 1,
    });
    for (const task of segments.slice(1)) await takeCensus(world.deps, task);
    await expect(concludeRound(world.deps, jobId, 1)).rejects.toMatchObject({ code: 'ROTATION_STATE' });
    expect(await world.job(jobId)).toMatchObject({ census: null, status: 'CENSUS' });
  });
});
