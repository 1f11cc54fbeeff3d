import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../shared/approvals/approve.ts';
import { changeVersion } from '../../shared/keyring/change-version.ts';
import { beginPurge } from '../../shared/rotation/begin-purge.ts';
import { beginRestore } from '../../shared/rotation/begin-restore.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createApprovers } from '../support/approvers.ts';
import { runRotation } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, stateOf, type World } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

/** `keyturn holds`, on a world with two approvers of whom both are needed. */

const [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob')]);
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

const ACME = ['--tenant', 'acme'];
let world: World;
beforeEach(async () => {
  world = await worlds.makeWorld(
    createMemoryLedger(),
    {},
    { approvals: { required: 2, approvers: await people.configured('alice', 'bob') } },
  );
  await fill(world, 4);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
});

const holds = (...argv: readonly string[]) => runOn(world.deps, ['holds', ...argv]);

async function json(...argv: readonly string[]) {
  const { code, stdout } = await holds(...argv, '--json');
  return { code, result: JSON.parse(stdout) };
}

async function place(...more: readonly string[]): Promise<string> {
  const placed = await json('place', ...ACME, '--version', '1', '--reason', 'case 4711', ...more);
  expect(placed).toMatchObject({ code: 0, result: { hold: { reason: 'PERSON', note: 'case 4711' } } });
  return placed.result.hold.holdId;
}

describe('keyturn holds', () => {
  it('lists what people and restores hold, and counts what backups do', async () => {
    const none = await holds('list');
    expect(none.stdout).toContain('No hold of a person or a restore stands.');
    expect(none.stdout).toContain('1 hold of backups');
    expect(await json('list', '--all')).toMatchObject({
      result: [{ tenant: 'acme', holdId: 'backup/main/1', versions: [1], reason: 'BACKUP', store: 'main' }],
    });
    const holdId = await place();
    expect((await holds('list')).stdout).toContain(holdId);
    expect((await json('list', ...ACME)).result).toHaveLength(2);
    world.passGrace();
    expect((await json('list', ...ACME)).result).toMatchObject([{ holdId }]);
  });

  it('places one that calls off a purge, and comes too late once it is decided', async () => {
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    await beginPurge(world.deps, job.jobId);
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
    const placed = await holds(
      'place',
      ...ACME,
      '--version',
      '1',
      '--reason',
      'x',
      '--until',
      '2027-01-01T00:00:00Z',
    );
    expect(placed.stdout).toContain('is held until 2027-01-01 00:00:00 UTC');
    expect(placed.stdout).toContain('called off');
    expect(await stateOf(world, 1)).toBe('RETIRING');
    const at = world.clock.timestamp();
    await world.changeKey((key) =>
      changeVersion(key, 1, { state: 'DESTROY_PENDING', destroyPendingAt: at, destroyAuthorizedAt: at }),
    );
    await expect(holds('place', ...ACME, '--version', '1', '--reason', 'x')).rejects.toMatchObject({
      code: 'VERSION_STATE',
      message: expect.stringContaining('too late'),
    });
  });

  it.each([
    ['an empty reason', ['--reason', ' '], 'INPUT_INVALID'],
    ['a reason of two lines', ['--reason', 'a\nb'], 'INPUT_INVALID'],
    ['a reason that is too long', ['--reason', 'x'.repeat(301)], 'INPUT_INVALID'],
    ['an end in the past', ['--reason', 'x', '--until', '2020-01-01T00:00:00Z'], 'INPUT_INVALID'],
    ['an end that is no time', ['--reason', 'x', '--until', 'soon'], 'INPUT_INVALID'],
  ])('refuses %s', async (_, options, code) => {
    await expect(holds('place', ...ACME, '--version', '1', ...options)).rejects.toMatchObject({ code });
  });

  it('releases one when two people agree, and not for the word that was given for another', async () => {
    const holdId = await place();
    const other = await place();
    const release = (id: string) => json('release', ...ACME, id, '--yes');
    const asked = await release(holdId);
    expect(asked).toMatchObject({ code: 4, result: { released: false, approvals: 0, required: 2 } });
    const { requestId } = asked.result;
    await approve(world.deps, requestId, 'alice', people.signer('alice'));
    expect(await release(holdId)).toMatchObject({ code: 4, result: { approvals: 1, requestId } });
    await approve(world.deps, requestId, 'bob', people.signer('bob'));
    const another = await release(other);
    expect(another).toMatchObject({ code: 4, result: { released: false, approvals: 0 } });
    expect(another.result.requestId).not.toBe(requestId);
    expect(await release(holdId)).toMatchObject({ code: 0, result: { released: true, approvals: 2 } });
    await expect(release(holdId)).rejects.toMatchObject({ code: 'HOLD_NOT_FOUND' });
    expect((await json('list', ...ACME)).result).toMatchObject([
      { holdId: 'backup/main/1' },
      { holdId: other },
    ]);
  });

  it('releases none of a restore, and asks nobody about it', async () => {
    world.pass(60);
    const { restore } = await beginRestore(world.deps, {
      store: 'main',
      backupTime: world.clock.timestamp(),
      requestedBy: 'test',
    });
    await expect(holds('release', ...ACME, restore.restoreId, '--yes')).rejects.toMatchObject({
      code: 'HOLD_REFUSED',
    });
    expect(await world.ledger.listApprovalRequests()).toEqual([]);
  });

  it('takes no approval from before a restore', async () => {
    const holdId = await place();
    const { result } = await json('release', ...ACME, holdId, '--yes');
    for (const name of ['alice', 'bob']) {
      await approve(world.deps, result.requestId, name, people.signer(name));
    }
    await beginRestore(world.deps, {
      store: 'main',
      backupTime: world.clock.timestamp(),
      requestedBy: 'test',
    });
    expect(await json('release', ...ACME, holdId, '--yes')).toMatchObject({ code: 4 });
  });
});
