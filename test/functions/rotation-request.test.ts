import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_FUNCTIONS } from '../../functions/index.ts';
import { PermanentError, TransientError } from '../../functions/lambda.ts';
import { LedgerError } from '../../shared/errors/errors.ts';
import type { LogFields } from '../../shared/log/log.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { requestDetail } from '../support/bus-events.ts';
import { rotationRequested } from '../support/events.ts';
import { runRotation } from '../support/memory-machine.ts';
import { fill, prepareWorlds, TENANT, type World, type WorldMaker } from '../support/memory-world.ts';

let worlds: WorldMaker;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());

let world: World;
let metrics: [string, number][];
let logged: [string, LogFields | undefined][];
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 4);
  metrics = [];
  logged = [];
});

const context = { getRemainingTimeInMillis: () => 60_000 };
const SECRET = 'somebody@example.org';

/** Sent now, unless it says another time. */
const asked = (changes: object = {}, at: number = world.clock.now()) => ({
  ...rotationRequested(requestDetail(changes)),
  time: new Date(at).toISOString().replace(/\.\d+Z$/, 'Z'),
});
const handle = (event: unknown) => {
  const log = (message: string, fields?: LogFields) => void logged.push([message, fields]);
  return EVENT_FUNCTIONS['rotation-request']({
    ...world.deps,
    metrics: { add: (name, value) => void metrics.push([name, value]) },
    log: { info: log, warn: log, error: log },
  })(event, context);
};
const jobs = () => world.ledger.listJobs({ kind: 'rotate' });
/** What the tenant's audit tells of. */
const refusals = async () => {
  const items = await world.ledger.listAuditEntries(TENANT, 1, 1000);
  return items.flatMap(({ entry }) => (entry?.type === 'request.refused' ? [entry.detail] : []));
};

describe('a rotation request on the bus', () => {
  it('starts the rotation that it asks for, and says in the job who asked and why', async () => {
    const event = asked({ mode: 're-encrypt', reason: 'suspected-leak', requestId: 'r-1' });
    const reply = await handle(event);
    expect(reply).toMatchObject({ answer: 'started' });
    expect(await jobs()).toMatchObject([
      {
        jobId: reply?.jobId,
        from: 1,
        mode: 're-encrypt',
        requestedBy: 'billing-service (request r-1, suspected-leak)',
      },
    ]);
    expect(metrics).toEqual([]);
  });

  it('repeated, doubled and late, is one rotation', async () => {
    const sent = world.clock.now();
    const event = asked({ requestId: 'r-1' });
    const replies = await Promise.all([handle(event), handle(event), handle(event)]);
    expect(new Set(replies.map((reply) => reply?.jobId)).size).toBe(1);
    world.pass(5);
    // Another's wish while it runs is the same rotation, and is granted by it.
    const other = asked({ requestId: 'r-2' });
    expect(await handle(other)).toMatchObject({ answer: 'running' });
    const jobId = replies[0]?.jobId ?? '';
    world.pass(5);
    expect(await runRotation(world, jobId)).toBe('CLEAN');
    for (const late of [event, other, asked({ requestId: 'r-1' }, sent - 86_400_000)])
      expect(await handle(late)).toEqual({ answer: 'rotated-since', jobId: null });
    expect(await jobs()).toHaveLength(1);
    // A new wish, though by the same id, is a new rotation.
    expect(await handle(asked({ requestId: 'r-1' }))).toMatchObject({ answer: 'started' });
    expect(await jobs()).toHaveLength(2);
  });

  it('of a key that is younger than the request rotates it all the same', async () => {
    expect(await handle(asked({}, world.clock.now() - 1000))).toMatchObject({ answer: 'started' });
  });

  it.each([
    ['no schema version', { schemaVersion: undefined }, 'detail.schemaVersion'],
    ['a later schema version', { schemaVersion: 2 }, 'detail.schemaVersion'],
    ['no tenant', { tenant: undefined }, 'detail.tenant'],
    ['an empty tenant', { tenant: '' }, 'detail.tenant'],
    ['an endless tenant', { tenant: 'x'.repeat(257) }, 'detail.tenant'],
    ['an unknown mode', { mode: SECRET }, 'detail.mode'],
    ['an e-mail address for who asks', { requestedBy: SECRET }, 'detail.requestedBy'],
    ['a name for who asks', { requestedBy: 'Some Body' }, 'detail.requestedBy'],
    ['an endless id for who asks', { requestedBy: 'x'.repeat(129) }, 'detail.requestedBy'],
    ['no one who asks', { requestedBy: undefined }, 'detail.requestedBy'],
    ['no id', { requestId: undefined }, 'detail.requestId'],
    ['a text for a reason', { reason: `because ${SECRET}` }, 'detail.reason'],
    ['a misspelt field', { [SECRET]: 're-encrypt' }, 'detail'],
    ['several faults', { tenant: 7, mode: SECRET }, 'detail.tenant, detail.mode'],
  ])('with %s is refused by the field’s name, counted, and told to Lambda', async (_, changes, fields) => {
    const error: unknown = await handle(asked(changes)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(PermanentError);
    expect(error).toMatchObject({ message: `INPUT_INVALID: ${fields}` });
    expect(metrics).toEqual([['RequestsRefused', 1]]);
    expect(logged).toEqual([
      [`rotation request refused: ${fields}`, { code: 'INPUT_INVALID', step: 'rotation-request' }],
    ]);
    expect(JSON.stringify([String(error), logged])).not.toContain(SECRET);
    expect(await jobs()).toEqual([]);
  });

  it('from the future is refused: sent again, it would rotate again', async () => {
    const ahead = (seconds: number) => asked({}, world.clock.now() + seconds * 1000);
    await expect(handle(ahead(302))).rejects.toThrow(/^INPUT_INVALID: time$/);
    expect(metrics).toEqual([['RequestsRefused', 1]]);
    expect(logged).toEqual([
      ['rotation request refused: time', { code: 'INPUT_INVALID', step: 'rotation-request' }],
    ]);
    expect(await jobs()).toEqual([]);
    expect(await refusals()).toMatchObject([{ action: 'rotate', code: 'INPUT_INVALID', purpose: 'default' }]);
    // The sender's clock may go before ours.
    expect(await handle(ahead(300))).toMatchObject({ answer: 'started' });
    // By as much as clocks here may differ, where that is more.
    world = await worlds.makeWorld(createMemoryLedger(), { clockSkewSeconds: 600 });
    await fill(world, 4);
    await expect(handle(ahead(602))).rejects.toThrow(/^INPUT_INVALID: time$/);
    expect(await handle(ahead(600))).toMatchObject({ answer: 'started' });
  });

  it('that is no such event is refused', async () => {
    for (const event of [
      null,
      'text',
      {},
      { ...asked(), 'detail-type': 'Other' },
      { ...asked(), time: 'noon' },
    ])
      await expect(handle(event)).rejects.toThrow(/^INPUT_INVALID: /);
    expect(metrics).toHaveLength(5);
  });

  it.each([
    ['an unknown tenant', { tenant: 'nobody' }],
    ['an unknown purpose', { purpose: 'none' }],
  ])('for %s is refused by its code, and the log does not repeat what it says', async (_, changes) => {
    await expect(handle(asked(changes))).rejects.toThrow(/^KEY_NOT_FOUND: /);
    expect(metrics).toEqual([['RequestsRefused', 1]]);
    expect(logged).toEqual([
      ['rotation request refused', { code: 'KEY_NOT_FOUND', step: 'rotation-request' }],
    ]);
  });

  it('for a purpose that the tenant does not have is in its audit once a day, whoever sends how many', async () => {
    const send = (changes: object) => handle(asked({ purpose: 'none', ...changes })).catch(() => undefined);
    for (let i = 0; i < 5; i++)
      await send({ requestId: `r-${i}`, requestedBy: `u-${i}`, purpose: `none-${i}` });
    const [told, ...more] = await refusals();
    expect(told).toEqual({
      ...{ action: 'rotate', code: 'KEY_NOT_FOUND' },
      ...{ source: rotationRequested({})['source'], requestId: 'r-0', requestedBy: 'u-0' },
    });
    expect(more).toEqual([]);
    world.pass(24 * 3600);
    await send({});
    expect(await refusals()).toHaveLength(2);
    // Nobody's is in no chain.
    await send({ tenant: 'nobody' });
    expect(await world.ledger.lastAuditEntry('nobody')).toBeNull();
  });

  it('is refused all the same when that cannot be recorded', async () => {
    world.faults.before = (call) => {
      if (call === 'ledger.createAuditEvent') throw new LedgerError('LEDGER_UNAVAILABLE', 'down');
    };
    await expect(handle(asked({ purpose: 'none' }))).rejects.toThrow(/^KEY_NOT_FOUND: /);
    expect(logged[0]).toEqual([
      'a refusal is not in the audit',
      { code: 'LEDGER_UNAVAILABLE', step: 'rotation-request' },
    ]);
  });

  it('that meets a fault that passes is thrown to be tried again, and counted as nothing', async () => {
    world.faults.before = (call) => {
      if (call === 'ledger.readKey') throw new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });
    };
    await expect(handle(asked())).rejects.toBeInstanceOf(TransientError);
    world.faults.before = () => {
      throw new TypeError('a bug');
    };
    await expect(handle(asked())).rejects.toThrow('UNEXPECTED: TypeError');
    expect(metrics).toEqual([]);
  });
});
