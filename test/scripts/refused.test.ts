import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../shared/approvals/approve.ts';
import type { AuditEntry } from '../../shared/audit/entry.ts';
import { SERVICE } from '../../shared/audit/outbox.ts';
import { LedgerError } from '../../shared/errors/errors.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createApprovers } from '../support/approvers.ts';
import { runPurge, runRotation } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, TENANT, type World } from '../support/memory-world.ts';
import { capture, runOn } from './capture.ts';

/** What a command asked for and the domain refused is in the audit: once a day, by its code, and without a word of the error. */

const [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob')]);
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

const ACME = ['--tenant', TENANT];
const HOUR = 3600;
let world: World;
beforeEach(async () => {
  const approvals = { required: 2, approvers: await people.configured('alice', 'bob') };
  world = await worlds.makeWorld(createMemoryLedger(), {}, { approvals });
  await fill(world, 4);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
});

const run = (...argv: readonly string[]) => runOn(world.deps, argv);

async function refused(code: string, ...argv: readonly string[]): Promise<void> {
  await expect(run(...argv)).rejects.toMatchObject({ code });
}

async function entries(tenant = TENANT): Promise<readonly AuditEntry[]> {
  const items = await world.ledger.listAuditEntries(tenant, 1, 1000);
  return items.flatMap(({ entry }) => (entry?.type === 'request.refused' ? [entry] : []));
}

const details = async (tenant = TENANT) => (await entries(tenant)).map(({ detail }) => detail);

async function askRelease(): Promise<{ readonly holdId: string; readonly requestId: string }> {
  const placed = await run('holds', 'place', ...ACME, '--version', '1', '--reason', 'case 4711', '--json');
  const { holdId } = JSON.parse(placed.stdout).hold;
  const asked = await run('holds', 'release', ...ACME, holdId, '--yes', '--json');
  return { holdId, requestId: JSON.parse(asked.stdout).requestId };
}

describe('a refused request', () => {
  it('to purge, roll back, hold, cancel, pause or resume is told of its version or job', async () => {
    await refused('PURGE_REFUSED', 'purge', ...ACME, '--version', '1', '--yes');
    await refused('VERSION_NOT_FOUND', 'rollback', ...ACME, '--to', '7', '--yes');
    const { jobId } = (await world.ledger.listJobs({ kind: 'rotate' }))[0] ?? { jobId: '' };
    await refused('ROTATION_STATE', 'pause', '--job', jobId);
    await refused('ROTATION_STATE', 'resume', '--job', jobId);
    const told = await details();
    expect(told).toEqual([
      { action: 'purge', code: 'PURGE_REFUSED', purpose: 'default', version: 1 },
      { action: 'rollback', code: 'VERSION_NOT_FOUND', purpose: 'default' },
      { action: 'pause', code: 'ROTATION_STATE', purpose: 'default', jobId },
      { action: 'resume', code: 'ROTATION_STATE', purpose: 'default', jobId },
    ]);
  });

  it('to approve names the request, and the approver if there is such a one', async () => {
    const { requestId } = await askRelease();
    const as = (name: string) => ['approve', requestId, '--as', name, '--yes'];
    await refused('APPROVAL_REFUSED', ...as('mallory'));
    await refused('APPROVAL_REFUSED', ...as('alice'), '--key-file', people.keyFile('bob'));
    await approve(world.deps, requestId, 'alice', people.signer('alice'));
    await refused('APPROVAL_REFUSED', ...as('alice'), '--key-file', people.keyFile('alice'));
    const told = { action: 'approve', code: 'APPROVAL_REFUSED', requestId };
    expect(await details()).toEqual([told, { ...told, approver: 'alice' }]);
  });

  it('to release a hold names it, once it is known', async () => {
    await run('restore', 'begin', '--store', 'main', '--backup-time', world.clock.timestamp());
    const holdId = (await world.key()).holds.find(({ reason }) => reason === 'RESTORE')?.holdId ?? '';
    await refused('HOLD_NOT_FOUND', 'holds', 'release', ...ACME, `${holdId}x`, '--yes');
    await refused('HOLD_REFUSED', 'holds', 'release', ...ACME, holdId, '--yes');
    expect(await details()).toEqual([
      { action: 'holds release', code: 'HOLD_NOT_FOUND', purpose: 'default' },
      { action: 'holds release', code: 'HOLD_REFUSED', purpose: 'default', holdId },
    ]);
  });

  it('to restore what needs a version that is gone is in the chain of the service', async () => {
    world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 4);
    world.pass(HOUR);
    const backup = ['--store', 'main', '--backup-time', world.clock.timestamp()];
    world.pass(HOUR);
    await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, job.jobId)).toBe(true);
    await refused('RESTORE_REFUSED', 'restore', 'begin', ...backup);
    await refused('RESTORE_NOT_FOUND', 'restore', 'end', '0f0c3a5e-8c53-5d0c-9b1f-6a1d5f7f2b11');
    expect(await details(SERVICE)).toEqual([
      { action: 'restore begin', code: 'RESTORE_REFUSED', store: 'main' },
      { action: 'restore end', code: 'RESTORE_NOT_FOUND' },
    ]);
    expect(await details()).toEqual([]);
  });

  it('of all keys at once is told of each that was refused', async () => {
    await run('keys', 'create', ...ACME, '--purpose', 'undeclared');
    const { code } = await run('rotate', '--all', '--json', '--no-wait');
    expect(code).toBe(3);
    const told = { action: 'rotate', code: 'RECORD_SET_NOT_FOUND', purpose: 'undeclared' };
    expect(await details()).toEqual([told]);
  });

  it('is there by who asked, and has no word of the error', async () => {
    await refused('PURGE_REFUSED', 'purge', ...ACME, '--version', '1', '--yes');
    const [entry] = await entries();
    expect(entry?.actor).toBe('function:test');
    expect(entry?.eventId).toMatch(/^refused\/\d{4}-\d\d-\d\d\/[\w-]{43}$/);
    expect(JSON.stringify(entry)).not.toMatch(/grace|retired|due/i);
  });

  it('asked for again and again, and for what is made up, is a few entries a day', async () => {
    for (let i = 0; i < 5; i++) {
      await refused('PURGE_REFUSED', 'purge', ...ACME, '--version', '1', '--yes');
      await refused('VERSION_NOT_FOUND', 'purge', ...ACME, '--version', String(70 + i), '--yes');
      await refused('KEY_NOT_FOUND', 'rotate', ...ACME, '--purpose', `made-up-${i}`);
      await refused('HOLD_NOT_FOUND', 'holds', 'release', ...ACME, `made-up-${i}`, '--yes');
    }
    expect(await entries()).toHaveLength(4);
    world.pass(24 * HOUR);
    await refused('PURGE_REFUSED', 'purge', ...ACME, '--version', '1', '--yes');
    expect(await entries()).toHaveLength(5);
  });

  it('of nobody who is known is in no chain', async () => {
    await refused('KEY_NOT_FOUND', 'rotate', '--tenant', 'nobody');
    await refused('APPROVAL_NOT_FOUND', 'approve', 'made-up', '--as', 'alice', '--yes');
    await refused('ROTATION_NOT_FOUND', 'pause', '--job', 'b1c1a1de-0000-4000-8000-000000000000');
    for (const tenant of ['nobody', SERVICE, TENANT]) expect(await details(tenant)).toEqual([]);
  });

  it('is refused all the same when it cannot be recorded, with a word of it', async () => {
    world.faults.before = (call) => {
      if (call === 'ledger.createAuditEvent') throw new LedgerError('LEDGER_UNAVAILABLE', 'down');
    };
    const captured = capture();
    const purge = runOn(world.deps, ['purge', ...ACME, '--version', '1', '--yes'], captured);
    await expect(purge).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    expect(captured.text().stderr).toContain('not in the audit: LEDGER_UNAVAILABLE');
    expect(await details()).toEqual([]);
  });
});

describe('what is no refusal', () => {
  it('is not recorded: an outage, a dry run, a question, a mistyped option', async () => {
    const before = (await world.ledger.listAuditEntries(TENANT, 1, 1000)).length;
    await expect(run('purge', ...ACME, '--version', '0', '--yes')).rejects.toThrow();
    await refused('KEY_NOT_FOUND', 'keys', 'show', ...ACME, '--purpose', 'none');
    await refused('KEY_NOT_FOUND', 'rotate', ...ACME, '--purpose', 'none', '--dry-run');
    world.faults.before = (call) => {
      if (call === 'ledger.readKey') throw new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });
    };
    await refused('LEDGER_UNAVAILABLE', 'rotate', ...ACME);
    world.faults.before = () => undefined;
    expect(await world.ledger.listAuditEntries(TENANT, 1, 1000)).toHaveLength(before);
  });
});
