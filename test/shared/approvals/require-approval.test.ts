import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../../shared/approvals/approve.ts';
import { isExpired, isRequester, withRequester } from '../../../shared/approvals/binding.ts';
import {
  type Approvable,
  requestApproval,
  requireApproval,
} from '../../../shared/approvals/request-approval.ts';
import { changeKeyItem } from '../../../shared/keyring/change-version.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { type Approvers, createApprovers } from '../../support/approvers.ts';
import { PURPOSE, prepareWorlds, TENANT, type World, type WorldMaker } from '../../support/memory-world.ts';

/** What any destructive action asks before it happens: the release of a hold here. */

let worlds: WorldMaker;
let people: Approvers;
let world: World;
let wanted: Approvable;
beforeAll(async () => {
  [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob', 'carol')]);
});
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});
beforeEach(async () => {
  const approvals = {
    required: 2,
    expirySeconds: 3600,
    approvers: await people.configured('alice', 'bob', 'carol'),
  };
  world = await worlds.makeWorld(createMemoryLedger(), {}, { approvals });
  const { keyId } = await world.key();
  wanted = {
    ...{ action: 'release-hold', tenant: TENANT, purpose: PURPOSE, keyId, version: 0, restoreEpoch: 0 },
    evidence: { holdId: 'h1', versions: [1], until: null },
    summary: 'Releases hold h1',
    requestedBy: 'person:dave',
  } as const;
});

const ask = (changes: Partial<Approvable> = {}) => requireApproval(world.deps, { ...wanted, ...changes });

async function requestIdOf(outcome: ReturnType<typeof ask>): Promise<string> {
  const answer = await outcome;
  if (answer.approved) throw new Error('approved already');
  return answer.check.request.requestId;
}

const sign = async (requestId: string, ...names: readonly string[]) => {
  for (const name of names) await approve(world.deps, requestId, name, people.signer(name));
};

describe('an action that needs approvals', () => {
  it('asks once, waits for all of them, and is approved then, whoever repeats it', async () => {
    expect(await ask()).toMatchObject({ approved: false, requested: true });
    world.pass(60);
    const requestId = await requestIdOf(ask({ requestedBy: 'person:erin' }));
    expect(await world.ledger.listApprovalRequests()).toHaveLength(1);
    await sign(requestId, 'alice');
    expect(await ask()).toMatchObject({ approved: false, requested: false, check: { over: null } });
    await sign(requestId, 'bob');
    const approved = await ask();
    expect(approved).toMatchObject({ approved: true, requestId });
    expect(approved.approved && approved.approvals.map(({ approver }) => approver)).toEqual(['alice', 'bob']);
  });

  it.each([
    ['evidence', { evidence: { holdId: 'h2' } }],
    ['key', { keyId: '01900000-0000-7000-8000-0000000000aa' }],
    ['version', { version: 2 }],
    ['action', { action: 'give-up' }],
  ] as const)('needs others for another %s', async (_, change) => {
    const requestId = await requestIdOf(ask());
    await sign(requestId, 'alice', 'bob');
    expect(await ask(change)).toMatchObject({ approved: false, requested: true });
    expect(await ask()).toMatchObject({ approved: true });
  });

  it('needs others after its time, also when the clock is set back, and after a restore', async () => {
    const first = await requestIdOf(ask());
    await sign(first, 'alice', 'bob');
    world.pass(3600 - 60);
    const second = await requestIdOf(ask());
    expect(second).not.toBe(first);
    world.pass(-3000);
    expect(await ask()).toMatchObject({ approved: false, check: { request: { requestId: second } } });
    await sign(second, 'alice', 'bob');
    await world.changeKey((key) => changeKeyItem(key, { restoreEpoch: 1 }));
    expect(await ask()).toMatchObject({ approved: false, requested: true });
    expect(await ask({ restoreEpoch: 1 })).toMatchObject({ approved: false, requested: true });
  });

  it('happens at once where none are required, and never where too few could approve', async () => {
    const { config } = world.deps;
    const having = (approvals: object) => ({
      ...world.deps,
      config: { ...config, approvals: { ...config.approvals, ...approvals } },
    });
    expect(await requireApproval(having({ required: 0 }), wanted)).toEqual({
      approved: true,
      requestId: null,
      approvals: [],
    });
    const { alice, bob } = config.approvals.approvers;
    for (const approvers of [{}, { alice }, { alice, bob }]) {
      const outcome = requireApproval(having({ approvers }), { ...wanted, requestedBy: 'person:alice' });
      await expect(outcome).rejects.toMatchObject({ code: 'APPROVAL_REFUSED' });
    }
    expect(await world.ledger.listApprovalRequests()).toEqual([]);
  });

  it('has an id that no command takes for an option', async () => {
    const ids = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const { requestId } = await requestApproval(world.deps, { ...wanted, evidence: { i } });
      expect(requestId).toMatch(/^[A-Za-z0-9_][A-Za-z0-9_-]{42}$/);
      ids.add(requestId);
    }
    expect(ids.size).toBe(300);
  });
});

describe('a request', () => {
  const at = (milliseconds: number) => new Date(milliseconds).toISOString();
  const time = fc.integer({ min: 0, max: 4e12 });

  it('is expired the skew before its end and for ever after, however far back the clock was when it was made', () => {
    fc.assert(
      fc.property(time, time, fc.integer({ min: 1, max: 1e9 }), fc.nat(100_000), (made, now, life, skew) => {
        const request = { requestedAt: at(made), expiresAt: at(made + life) };
        const expired = isExpired(request, now, skew);
        if (now + skew * 1000 >= made + life) expect(expired).toBe(true);
        if (expired) expect(isExpired(request, now + 1, skew)).toBe(true);
        if (!expired) expect(Math.max(now, made) + skew * 1000).toBeLessThan(made + life);
      }),
    );
  });

  it('knows who asked, in whatever case', () => {
    expect(isRequester('alice', 'person:Alice')).toBe(true);
    expect(isRequester('alice', 'alice')).toBe(true);
    expect(isRequester('alice', 'person:alice2')).toBe(false);
    expect(isRequester('alice', 'daily sweep')).toBe(false);
  });

  it('is everybody who asked, one after the other', () => {
    const asked = withRequester(withRequester('daily sweep', 'person:Alice'), 'person:bob');
    expect(asked).toBe('daily sweep, person:Alice, person:bob');
    expect(['alice', 'bob', 'carol'].map((name) => isRequester(name, asked))).toEqual([true, true, false]);
    for (const again of ['person:alice', 'daily sweep', 'event'])
      expect(withRequester(asked, again)).toBe(asked);
  });
});
