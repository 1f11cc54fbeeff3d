import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../../shared/approvals/approve.ts';
import { readTombstone } from '../../../shared/envelope/index.ts';
import { KeyError } from '../../../shared/errors/errors.ts';
import { changeVersion } from '../../../shared/keyring/change-version.ts';
import { type GiveUpAnswer, giveUp } from '../../../shared/rotation/give-up.ts';
import { standingHolds } from '../../../shared/rotation/holds.ts';
import { settleQuarantine } from '../../../shared/rotation/quarantine.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { digestOf } from '../../../shared/signing/canonical-json.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { type Approvers, createApprovers } from '../../support/approvers.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import {
  Crash,
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

/** A value that nothing can bring back is given up: one at a time, approved, and never one that opens. */

let worlds: WorldMaker;
let people: Approvers;
let world: World;
beforeAll(async () => {
  [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob', 'carol')]);
});
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

async function makeWorld(approvals?: object): Promise<World> {
  const made = await worlds.makeWorld(createMemoryLedger(), {}, approvals === undefined ? {} : { approvals });
  await fill(made, 4);
  await damage(made, '2');
  await damage(made, '3');
  const { job } = await requestRotation(made.deps, KEY);
  await runRotation(made, job.jobId);
  return made;
}

/** One bit of the wrapped DEK of the record's email. */
async function damage(on: World, id: string): Promise<void> {
  const row = on.people.rows.get(JSON.stringify([id]));
  const value = row?.values[0];
  if (row === undefined || value == null) throw new Error('no such record');
  value[value.length - 1] = (value[value.length - 1] ?? 0) ^ 1;
}

const approvals = async () => ({
  required: 2,
  approvers: await people.configured('alice', 'bob', 'carol'),
});

const REQUEST = {
  tenant: TENANT,
  recordSet: 'people',
  recordId: ['2'],
  field: 'email',
  reason: 'The disk lost it, and no backup has it',
  requestedBy: 'person:carol',
};

const ask = (more: Partial<typeof REQUEST> = {}, on: World = world) =>
  giveUp(on.deps, { ...REQUEST, ...more });
const emailOf = (id: string, on: World = world) =>
  on.people.rows.get(JSON.stringify([id]))?.values[0] ?? null;
const quarantined = async (on: World = world) =>
  (await on.ledger.listQuarantined((await on.key()).keyId)).map(({ recordId }) => recordId[0]);
const events = async (on: World = world) =>
  (await on.ledger.listAuditEntries(TENANT, 1, 1000)).flatMap(({ entry }) =>
    entry?.type.startsWith('record.') ? [entry] : [],
  );

function requestOf(answer: GiveUpAnswer): string {
  if (answer.status !== 'not-approved') throw new Error(`It is ${answer.status}`);
  return answer.outcome.check.request.requestId;
}

async function signed(requestId: string, on: World = world): Promise<void> {
  for (const name of ['alice', 'bob']) await approve(on.deps, requestId, name, people.signer(name));
}

describe('giving a quarantined value up', () => {
  beforeEach(async () => {
    world = await makeWorld(await approvals());
  });

  it('asks people first, changes nothing before they agree, and then leaves a tombstone', async () => {
    const before = Buffer.from(emailOf('2') ?? []);
    const answer = await ask();
    expect(answer).toMatchObject({
      status: 'not-approved',
      value: { code: 'DECRYPTION_FAILED', version: 1, recordId: ['2'] },
    });
    const requestId = requestOf(answer);
    expect(requestOf(await ask())).toBe(requestId);
    await approve(world.deps, requestId, 'alice', people.signer('alice'));
    expect(requestOf(await ask())).toBe(requestId);
    expect(Buffer.from(emailOf('2') ?? [])).toEqual(before);
    expect(await quarantined()).toEqual(['2', '3']);

    await approve(world.deps, requestId, 'bob', people.signer('bob'));
    expect(await ask()).toMatchObject({ status: 'given-up', requestId });
    const stone = readTombstone(emailOf('2') ?? new Uint8Array());
    expect(stone).toMatchObject({ keyId: (await world.key()).keyId, version: 1, requestId });
    expect(await quarantined()).toEqual(['3']);
    // The field beside it, and all others.
    expect((await world.open(world.people, 1))[0]).toBe('person 1 email');
    const row = world.people.rows.get('["2"]');
    expect(row?.values[1]).not.toBeNull();
  });

  it('is in the audit with who, why and the digest of what was lost, before and after; a repeat adds nothing', async () => {
    const requestId = requestOf(await ask());
    await signed(requestId);
    await ask();
    const once = await events();
    expect(once.map(({ type }) => type)).toEqual(['record.give-up-begun', 'record.given-up']);
    expect(once[0]?.detail).toMatchObject({
      recordSet: 'people',
      record: expect.stringMatching(/^[\w-]{43}$/),
      field: 'email',
      code: 'DECRYPTION_FAILED',
      reason: REQUEST.reason,
      requestId,
      approvers: ['alice', 'bob'],
      sha256: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(await ask()).toMatchObject({ status: 'given-up', requestId });
    expect(await events()).toEqual(once);
  });

  it('has the id of the record nowhere in the chain, and nothing from which it could be guessed', async () => {
    for (const recordId of [['2'], ['3']]) {
      await signed(requestOf(await ask({ recordId })));
      await ask({ recordId });
    }
    const chain = (await world.ledger.listAuditEntries(TENANT, 1, 1000)).flatMap(({ entry }) => entry ?? []);
    const begun = chain.filter(({ type }) => type === 'record.give-up-begun').map(({ detail }) => detail);
    expect(begun).toHaveLength(2);
    expect(begun[0]?.['record']).not.toBe(begun[1]?.['record']);
    const ended = chain
      .filter(({ type }) => type === 'record.given-up')
      .map(({ detail }) => detail['record']);
    expect(ended).toEqual(begun.map(({ record }) => record));
    const told = new Set(chain.flatMap(({ detail, eventId }) => [...Object.values(detail).flat(), eventId]));
    expect(told).not.toContain('2');
    // What who reads the chain can compute for an id that they try.
    for (const { keyId, recordSet, field, code, version, sha256, reason } of begun) {
      for (const recordId of [['2'], ['3']]) {
        const place = { keyId, recordSet, recordId };
        const value = { ...place, field, code, version, sha256 };
        for (const tried of [recordId, place, value, { ...value, reason }]) {
          expect(told).not.toContain(digestOf(tried));
        }
      }
    }
  });

  it('frees the version for its purge, once every value that needed it is settled', async () => {
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1, requestedBy: 'daily sweep' });
    await runPurge(world, job.jobId);
    expect(await world.job(job.jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'QUARANTINED_RECORDS' },
    });
    for (const recordId of [['2'], ['3']]) {
      await signed(requestOf(await ask({ recordId })));
      await ask({ recordId });
    }
    expect(await settleQuarantine(world.deps, TENANT, PURPOSE)).toEqual([]);
    const clean = await requestPurge(world.deps, { ...KEY, version: 1, requestedBy: 'daily sweep' });
    expect(await runPurge(world, clean.job.jobId)).toBe(false);
    world.passGrace();
    const again = await requestPurge(world.deps, { ...KEY, version: 1, requestedBy: 'daily sweep' });
    await expect(runPurge(world, again.job.jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    const paused = await world.job(again.job.jobId);
    expect(paused.census).toMatchObject({ onVersion: 0, stale: 0, malformed: 0 });
    expect(paused.census?.coverage['people']).toMatchObject({ tombstones: 2 });
  });

  it('is void for other bytes: what was approved is the value as it was', async () => {
    await signed(requestOf(await ask()));
    const row = world.people.rows.get('["2"]');
    const value = Uint8Array.from(row?.values[0] ?? []);
    value[value.length - 2] = (value[value.length - 2] ?? 0) ^ 1;
    row?.values.splice(0, 1, value);
    expect((await ask()).status).toBe('not-approved');
    expect(readTombstone(emailOf('2') ?? new Uint8Array())).toBeNull();
  });

  it('never overwrites what an application writes in the same moment', async () => {
    await signed(requestOf(await ask()));
    let written = false;
    world.faults.before = async (call) => {
      if (call !== 'store.replace' || written) return;
      written = true;
      await world.write(world.people, 2, 'saved');
    };
    // What it finds then opens, under the active version.
    expect(await ask()).toEqual({ status: 'settled' });
    expect((await world.open(world.people, 2))[0]).toBe('saved email');
    expect(await quarantined()).toEqual(['3']);
  });

  it('is refused for a value that is not in quarantine, whatever it is', async () => {
    const refused = { code: 'GIVE_UP_REFUSED', message: expect.stringContaining('not in quarantine') };
    await expect(ask({ recordId: ['1'] })).rejects.toMatchObject(refused);
    await expect(ask({ recordId: ['2'], field: 'phone' })).rejects.toMatchObject(refused);
    await expect(ask({ recordId: ['99'] })).rejects.toMatchObject(refused);
    await expect(ask({ field: 'nothing' })).rejects.toMatchObject({ code: 'GIVE_UP_REFUSED' });
    await expect(ask({ recordSet: 'nothing' })).rejects.toMatchObject({ code: 'RECORD_SET_NOT_FOUND' });
    await expect(ask({ tenant: 'nobody' })).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
  });

  it('is refused for a value that opens after all, approved or not', async () => {
    await signed(requestOf(await ask()));
    await damage(world, '2'); // The same bit: it is whole again, on the version before.
    await expect(ask()).rejects.toMatchObject({
      code: 'GIVE_UP_REFUSED',
      message: expect.stringContaining('opens now'),
    });
    expect(await quarantined()).toEqual(['2', '3']);
  });

  it('is no answer to an outage or a suspension: what cannot be told is not given up', async () => {
    await signed(requestOf(await ask()));
    world.restart();
    world.faults.before = (call) => {
      if (call === 'provider.unwrapKek') {
        throw new KeyError('KEY_UNAVAILABLE', 'The provider is away', { retryable: true });
      }
    };
    await expect(ask()).rejects.toMatchObject({ code: 'KEY_UNAVAILABLE' });
    world.faults.before = () => {};
    world.restart();
    await world.changeKey((key) =>
      changeVersion(key, 1, {
        state: 'SUSPENDED',
        suspended: { reason: 'PERSON', rootKeyId: null, at: new Date(world.clock.now()).toISOString() },
      }),
    );
    await expect(ask()).rejects.toMatchObject({ code: 'VERSION_STATE' });
    expect(readTombstone(emailOf('2') ?? new Uint8Array())).toBeNull();
    expect(await quarantined()).toEqual(['2', '3']);
  });

  it('settles what needs no tombstone: a row that is gone, a NULL, another tenant’s by now', async () => {
    world.people.rows.delete('["2"]');
    expect(await ask()).toEqual({ status: 'settled' });
    world.people.rows.get('["3"]')?.values.splice(0, 1, null);
    expect(await ask({ recordId: ['3'] })).toEqual({ status: 'settled' });
    expect(await quarantined()).toEqual([]);
    expect(await events()).toEqual([]);
  });

  it('holds the version of what it settles for the backups that have it', async () => {
    world.passGrace();
    world.pass(3600);
    await world.write(world.people, 2, 'person 2');
    expect(await ask()).toEqual({ status: 'settled' });
    const holds = standingHolds(await world.key(), 1, world.clock.now(), world.deps.config);
    expect(holds).toMatchObject([{ reason: 'BACKUP', at: world.clock.timestamp() }]);
    await expect(requestPurge(world.deps, { ...KEY, version: 1, requestedBy: 'test' })).rejects.toMatchObject(
      {
        code: 'PURGE_REFUSED',
        message: expect.stringContaining('backups of store main'),
      },
    );
  });

  it('is done once by two at the same time', async () => {
    await signed(requestOf(await ask()));
    const answers = await Promise.all([ask(), ask(), ask()]);
    const [first] = answers;
    expect(answers).toEqual([first, first, first]);
    expect(first).toMatchObject({ status: 'given-up' });
    expect((await events()).map(({ type }) => type).sort()).toEqual([
      'record.give-up-begun',
      'record.given-up',
    ]);
  });

  it('a retry of the whole quarantine afterwards leaves tombstones alone', async () => {
    await signed(requestOf(await ask()));
    await ask();
    const stone = Buffer.from(emailOf('2') ?? []);
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    expect(Buffer.from(emailOf('2') ?? [])).toEqual(stone);
    expect(await quarantined()).toEqual(['3']);
    expect((await world.job(job.jobId)).census).toMatchObject({ stale: 1 });
  });
});

describe('a process that dies while it gives a value up', () => {
  it('leaves a value or a tombstone, never an entry without its audit; the next call ends it', async () => {
    for (let at = 1; ; at++) {
      const on = await makeWorld(await approvals());
      await signed(requestOf(await ask({}, on)), on);
      let calls = 0;
      const fault = () => {
        calls += 1;
        if (calls === at) throw new Crash(`at call ${at}`);
      };
      on.faults.before = fault;
      on.faults.after = fault;
      await ask({}, on).catch((error: unknown) => {
        if (!(error instanceof Crash) && !on.crashed) throw error;
      });
      const died = on.crashed;
      on.faults.before = () => {};
      on.faults.after = () => {};
      on.restart();
      const stone = readTombstone(emailOf('2', on) ?? new Uint8Array());
      const begun = (await events(on)).map(({ type }) => type);
      // Nothing is lost that the audit does not know of.
      if (stone !== null) expect(begun, `call ${at}`).toContain('record.give-up-begun');
      else expect(await quarantined(on), `call ${at}`).toEqual(['2', '3']);
      expect(await ask({}, on), `call ${at}`).toMatchObject({ status: 'given-up' });
      expect((await events(on)).map(({ type }) => type).sort(), `call ${at}`).toEqual([
        'record.give-up-begun',
        'record.given-up',
      ]);
      expect(await quarantined(on), `call ${at}`).toEqual(['3']);
      if (!died) break;
    }
  });
});

describe('without approvals in the configuration', () => {
  it('it happens at once, and the tombstone names no request', async () => {
    world = await makeWorld();
    expect(await ask()).toMatchObject({ status: 'given-up', requestId: null });
    expect(await ask({ recordId: ['3'] })).toMatchObject({ status: 'given-up', requestId: null });
    expect(readTombstone(emailOf('2') ?? new Uint8Array())).toMatchObject({ requestId: null, version: 1 });
    expect((await events()).map(({ type }) => type)).toEqual([
      ...['record.give-up-begun', 'record.given-up'],
      ...['record.give-up-begun', 'record.given-up'],
    ]);
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
  });

  it('also of a value that is no envelope, of another key, or of a version that was never made', async () => {
    world = await makeWorld();
    const [two, three] = ['2', '3'].map((id) => world.people.rows.get(JSON.stringify([id])));
    two?.values.splice(0, 1, Buffer.from('no envelope'));
    const foreign = Uint8Array.from(three?.values[0] ?? []);
    foreign.fill(0x11, foreign.length - 62, foreign.length - 46);
    three?.values.splice(0, 1, foreign);
    await ask();
    await ask({ recordId: ['3'] });
    const begun = (await events()).filter(({ type }) => type === 'record.give-up-begun');
    expect(begun.map(({ detail }) => detail['code'])).toEqual(['ENVELOPE_MALFORMED', 'KEY_MISMATCH']);
    expect(readTombstone(emailOf('2') ?? new Uint8Array())).toMatchObject({ version: null });
  });
});
