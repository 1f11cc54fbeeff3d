import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../shared/approvals/approve.ts';
import { LedgerError, RotationError } from '../../shared/errors/errors.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { sweepDaily } from '../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createApprovers } from '../support/approvers.ts';
import { runPurge, runRotation } from '../support/memory-machine.ts';
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

  it('reads so many as it is told to, and says that there are more', async () => {
    const placed = await run('holds', 'place', ...ACME, '--version', '1', '--reason', 'another', '--json');
    world.pass(60);
    await run('holds', 'release', ...ACME, JSON.parse(placed.stdout).hold.holdId, '--yes');
    for (const all of [[], ['--all']]) {
      const one = await run('approvals', 'list', ...all, '--limit', '1', '--json');
      expect(JSON.parse(one.stdout)).toMatchObject({ more: true, requests: [{}] });
      expect(one.stderr).toContain('only the 1 requests that expire last were read, and there are more');
      expect(one.stdout).not.toContain(requestId);
      const both = await run('approvals', 'list', ...all, '--limit', '2', '--json');
      expect(JSON.parse(both.stdout)).toMatchObject({ more: false, requests: [{}, { requestId }] });
      expect(both.stderr).toBe('');
    }
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

describe('keyturn approve, of a purge that waits', () => {
  let jobId: string;
  beforeEach(async () => {
    await approve(world.deps, requestId, 'alice', people.signer('alice'));
    await approve(world.deps, requestId, 'bob', people.signer('bob'));
    await run('holds', 'release', ...ACME, holdId, '--yes');
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    ({ jobId } = job);
    await expect(runPurge(world, jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    requestId = (await world.job(jobId)).approvalId ?? '';
    await approve(world.deps, requestId, 'alice', people.signer('alice'));
  });

  const asBob = (deps = world.deps, captured = capture()) => {
    const argv = [
      'approve',
      requestId,
      '--as',
      'bob',
      '--key-file',
      people.keyFile('bob'),
      '--yes',
      '--no-wait',
    ];
    return { captured, done: runOn(deps, argv, captured) };
  };
  const types = async () => {
    const items = await world.ledger.listAuditEntries(KEY.tenant, 1, 1000);
    return items.map(({ entry }) => entry?.type);
  };

  it('stands when the purge cannot be taken up, is told of as such, and the daily sweep goes on with it', async () => {
    world.faults.before = (call) => {
      if (call === 'executions.start')
        throw new RotationError('EXECUTIONS_UNAVAILABLE', 'Step Functions is away');
    };
    const { captured, done } = asBob();
    await expect(done).rejects.toMatchObject({
      code: 'APPROVAL_STANDS',
      message:
        'The approval of bob stands, but the purge was not taken up: EXECUTIONS_UNAVAILABLE: Step Functions is away',
      remedy: expect.stringContaining('keyturn purge --tenant acme --version 1'),
    });
    expect(captured.text().stdout).toContain('Approved by 2 of 2');
    world.faults.before = () => {};
    expect(await list()).toMatchObject([{ requestId, status: 'approved' }]);
    await sweepDaily(world.deps);
    expect(await runPurge(world, jobId)).toBe(true);
  });

  it('is no refused request, also where the domain refuses what follows', async () => {
    const deps = { ...world.deps, recordSets: { ...world.deps.recordSets, names: [] } };
    await expect(asBob(deps).done).rejects.toMatchObject({
      code: 'APPROVAL_STANDS',
      message: expect.stringContaining('the purge was not taken up: RECORD_SET_NOT_FOUND: '),
    });
    expect((await types()).slice(-1)).toEqual(['approval.given']);
    expect(await types()).not.toContain('request.refused');
  });

  it('stands when how its request stands cannot be read any more', async () => {
    let written = false;
    world.faults.after = (call) => {
      if (call === 'ledger.createApproval') written = true;
      else if (written && call === 'ledger.listApprovals')
        throw new LedgerError('LEDGER_UNAVAILABLE', 'away', { retryable: true });
    };
    await expect(asBob().done).rejects.toMatchObject({
      code: 'APPROVAL_STANDS',
      message: expect.stringContaining(
        'stands, but how the request stands could not be read: LEDGER_UNAVAILABLE',
      ),
    });
    world.faults.after = () => {};
    expect(await list()).toMatchObject([{ requestId, status: 'approved' }]);
  });
});
