import type { ApprovalRequest } from '../../shared/approvals/approval.ts';
import { approve, checkMayApprove, requirePinned } from '../../shared/approvals/approve.ts';
import { APPROVAL_TYPE, isRequester, statementOf } from '../../shared/approvals/binding.ts';
import { checkApprovals } from '../../shared/approvals/check-approvals.ts';
import { resumeIfDecided } from '../../shared/approvals/resume-approved.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import { cancelJob } from '../../shared/rotation/cancel-job.ts';
import { getJob, timestamp } from '../../shared/rotation/change.ts';
import { pauseByPerson } from '../../shared/rotation/control-job.ts';
import { holdVersion } from '../../shared/rotation/holds-by-people.ts';
import { purgeJobId } from '../../shared/rotation/job-id.ts';
import type { Signer } from '../../shared/signing/signer.ts';
import { createDice } from '../dice.ts';
import type { Action } from '../plan.ts';
import type { World } from '../world.ts';
import { APPROVERS } from './approvers.ts';
import { numberIn } from './commands.ts';
import { command, nth } from './person.ts';

/** Approvers: they approve what waits, after a while; two at once; and at times what they asked for themselves. */

const MINUTE = 60_000;

/** Every so often one of them looks at what waits, and is mostly convinced. */
export function startApprovers(world: World): void {
  if (world.config.approvals.required === 0) return;
  const dice = createDice(world.plan.seed, 'approvers');
  const look = (number: number) => {
    const approver = dice.pick(APPROVERS);
    const doubts = dice.chance(0.2);
    if (!doubts) approveAll(world, `${approver} approves, ${number}`, approver);
    world.scheduler.after(dice.between(15 * MINUTE, 100 * MINUTE), () => look(number + 1));
  };
  world.scheduler.after(dice.between(MINUTE, 60 * MINUTE), () => look(1));
}

function approveAll(world: World, name: string, approver: string): void {
  command(world, name, async (deps) => {
    for (const { requestId } of await listOpen(deps))
      await approveOne(deps, requestId, approver, signerOf(world, approver));
  });
}

async function listOpen(deps: Deps): Promise<readonly ApprovalRequest[]> {
  return deps.ledger.listApprovalRequests({ expiresFrom: timestamp(deps.clock.now()) });
}

/** As `keyturn approve` does. Its refusal of one is no reason to leave the others. */
async function approveOne(deps: Deps, requestId: string, approver: string, signer: Signer): Promise<void> {
  try {
    const { request } = await checkMayApprove(deps, requestId, approver);
    await requirePinned(deps, approver, signer);
    await approve(deps, requestId, approver, signer);
    const { approved } = await checkApprovals(deps, requestId);
    if (!approved || request.action !== 'purge') return;
    const waiting = await getJob(deps, purgeJobId(request.keyId, request.version));
    await resumeIfDecided(deps, waiting, false);
  } catch (error) {
    if (!(error instanceof KeyturnError) || error.retryable) throw error;
  }
}

/** Two approve at once, while a third calls off what they approve. */
export function raceApprovals(world: World, { number, choice }: Action): void {
  const name = `race ${number}`;
  const [first, second, third] = [0, 1, 2].map((i) => nth(APPROVERS, numberIn(choice, 'pick') + i) ?? 'ada');
  if (first === undefined || second === undefined || third === undefined) return;
  command(world, name, async (deps) => {
    const [request] = await listOpen(deps);
    if (request === undefined || !world.faults.fires('approval-raced', request.requestId)) return;
    approveAll(world, `${name}, ${first}`, first);
    approveAll(world, `${name}, ${second}`, second);
    approveAll(world, `${name}, ${first} again`, first);
    if (request.action === 'purge') await callOff(deps, request, third, numberIn(choice, 'pick'));
  });
}

async function callOff(
  deps: Deps,
  { keyId, tenant, purpose, version }: ApprovalRequest,
  person: string,
  how: number,
): Promise<void> {
  const by = `person:${person}`;
  const jobId = purgeJobId(keyId, version);
  if (how === 0) await cancelJob(deps, jobId, by);
  else if (how === 1) await pauseByPerson(deps, jobId, by);
  else if (how === 2) {
    const until = timestamp(deps.clock.now() + 120 * MINUTE);
    await holdVersion(deps, { tenant, purpose, version, note: 'wait', until, by });
  }
}

/**
 * Whoever asked approves it themselves: by the command, and, when that refuses, by writing the approval down beside it, as
 * somebody with access to the ledger could. It must not count.
 */
export function approveOwn(world: World, { number }: Action): void {
  command(world, `self-approval ${number}`, async (deps) => {
    const found = (await listOpen(deps)).flatMap((request) => {
      const asker = APPROVERS.find((approver) => isRequester(approver, request.requestedBy));
      return asker === undefined ? [] : [{ request, asker }];
    });
    const [own] = found;
    if (own === undefined || !world.faults.fires('self-approval', own.request.requestId)) return;
    const { request, asker } = own;
    const signer = signerOf(world, asker);
    await approveOne(deps, request.requestId, asker, signer);
    const said = { approver: asker, breakGlass: false, at: timestamp(deps.clock.now()) };
    const jws = await signer.sign(APPROVAL_TYPE, statementOf(request, said));
    await deps.ledger.createApproval({ requestId: request.requestId, ...said, jws });
    const { valid } = await checkApprovals(deps, request.requestId);
    if (valid.some(({ approver }) => approver === asker))
      world.violated('25', `${asker} approved what they asked for themselves: ${request.summary}`);
  });
}

function signerOf({ signers }: World, approver: string): Signer {
  const signer = signers[approver];
  if (signer === undefined) throw new Error(`There is no approver ${approver}`);
  return signer;
}
