import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../shared/approvals/approve.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createApprovers } from '../support/approvers.ts';
import { runRotation } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type World } from '../support/memory-world.ts';
import { capture, runOn } from './capture.ts';

/** `keyturn approvals` and `keyturn approve`, of the release of a hold that two people have to agree to. */

const [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob')]);
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

const ACME = ['--tenant', 'acme'];
let world: World;
let requestId: string;
let holdId: string;

beforeEach(async () => {
  const approvals = { required: 2, approvers: await people.configured('alice', 'bob') };
  world = await worlds.makeWorld(createMemoryLedger(), {}, { approvals });
  await fill(world, 4);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
  const placed = await run('holds', 'place', ...ACME, '--version', '1', '--reason', 'case 4711', '--json');
  holdId = JSON.parse(placed.stdout).hold.holdId;
  const asked = await run('holds', 'release', ...ACME, holdId, '--yes', '--json');
  requestId = JSON.parse(asked.stdout).requestId;
});

const run = (...argv: readonly string[]) => runOn(world.deps, argv);

async function list(...options: readonly string[]) {
  const { stdout } = await run('approvals', 'list', ...options, '--json');
  return JSON.parse(stdout).requests;
}

describe('keyturn approvals', () => {
  it('shows what is approved in words, a field a line', async () => {
    const { stdout } = await run('approvals', 'show', requestId);
    expect(stdout).toContain(`  hold       ${holdId}\n`);
    expect(stdout).toContain('  versions   1\n');
    expect(stdout).toContain('  why        case 4711\n');
    expect(stdout).toContain('  until      it is released\n');
    expect(stdout).not.toMatch(/null|\[1\]|"/);
  });

  it('lists what can be approved, and with --all what is done, and why', async () => {
    expect(await list()).toMatchObject([{ requestId, status: '0 of 2', over: null }]);
    await approve(world.deps, requestId, 'alice', people.signer('alice'));
    await approve(world.deps, requestId, 'bob', people.signer('bob'));
    expect(await list()).toMatchObject([{ requestId, status: 'approved', over: null }]);
    expect((await run('holds', 'release', ...ACME, holdId, '--yes')).code).toBe(0);
    expect(await list()).toEqual([]);
    const done = { requestId, status: 'done', over: 'its hold does not stand any more' };
    expect(await list('--all')).toMatchObject([done]);
    const shown = await run('approvals', 'show', requestId);
    expect(shown.stdout).toContain('It cannot be approved any more: its hold does not stand any more.');
    expect(shown.stdout).not.toContain('keyturn approve');
  });

  it('lists nothing that is void, unless it is told to', async () => {
    world.pass(60 * 60 * 24 * 365);
    expect(await list()).toEqual([]);
    expect(await list('--all')).toMatchObject([
      { requestId, status: 'void', over: expect.stringContaining('expired') },
    ]);
  });
});

describe('keyturn approve', () => {
  it('looks at the key before it shows anything, and spends no approval on a wrong one', async () => {
    const captured = capture();
    const argv = ['approve', requestId, '--as', 'alice', '--key-file', people.keyFile('bob'), '--yes'];
    await expect(runOn(world.deps, argv, captured)).rejects.toMatchObject({ code: 'APPROVAL_REFUSED' });
    expect(captured.text().stdout).toBe('');
    expect(await list()).toMatchObject([{ status: '0 of 2', approvals: [] }]);
    const right = await run(
      'approve',
      requestId,
      '--as',
      'alice',
      '--key-file',
      people.keyFile('alice'),
      '--yes',
    );
    expect(right.code).toBe(0);
    expect(right.stdout).toContain('Approved by 1 of 2');
  });
});
