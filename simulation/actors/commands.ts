import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { VersionState } from '../../shared/keyring/states.ts';
import type { QuarantinedRecord } from '../../shared/ledger/ledger.ts';
import { cancelJob } from '../../shared/rotation/cancel-job.ts';
import { getKey, timestamp } from '../../shared/rotation/change.ts';
import {
  isPausedByPerson,
  limitJob,
  listOpenJobs,
  pauseByPerson,
  resumeByPerson,
} from '../../shared/rotation/control-job.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { giveUp } from '../../shared/rotation/give-up.ts';
import { holdVersion, requestRelease } from '../../shared/rotation/holds-by-people.ts';
import { checkApprovable, checkPurgeable } from '../../shared/rotation/purge-rules.ts';
import { retryQuarantined, settleQuarantine } from '../../shared/rotation/quarantine.ts';
import { requestPurge, requestResweep, requestRotation } from '../../shared/rotation/request-job.ts';
import { requestRollback } from '../../shared/rotation/rollback.ts';
import { isRunning, type Job, ROTATION_MODES } from '../../shared/rotation/rotation.ts';
import type { Action } from '../plan.ts';
import { nth } from './person.ts';

/**
 * What people ask for: the very calls that the command line makes (scripts/commands/), on what there is when they come to
 * it. Where there is nothing of the kind they do nothing.
 */
export const COMMANDS: Readonly<Record<string, (deps: Deps, choice: Choice) => Promise<unknown>>> = {
  rotate(deps, choice) {
    const mode = ROTATION_MODES.find((each) => each === choice['mode']);
    return requestRotation(deps, { ...asked(choice), ...(mode !== undefined && { mode }) });
  },

  async rollback(deps, choice) {
    const key = await getKey(deps, keyOf(choice).tenant, keyOf(choice).purpose);
    const to = nth(versionsIn(key, 'RETIRING', 'DESTROY_PENDING', 'ACTIVE'), numberIn(choice, 'pick'));
    if (to !== undefined) await requestRollback(deps, { ...asked(choice), to });
  },

  async pause(deps, choice) {
    const may = (job: Job) => isRunning(job.status) || (job.status === 'PAUSED' && !isPausedByPerson(job));
    for (const { jobId } of await chooseJobs(deps, choice, may))
      await pauseByPerson(deps, jobId, personOf(choice));
  },

  async resume(deps, choice) {
    for (const { jobId } of await chooseJobs(deps, choice, isPausedByPerson))
      await resumeByPerson(deps, jobId);
  },

  async cancel(deps, choice) {
    const job = nth(await chooseJobs(deps, choice, () => true), numberIn(choice, 'pick'));
    if (job !== undefined) await cancelJob(deps, job.jobId, personOf(choice));
  },

  async limit(deps, choice) {
    const rate = numberIn(choice, 'rate');
    for (const { jobId } of await chooseJobs(deps, choice, ({ kind }) => kind !== 'purge'))
      await limitJob(deps, jobId, rate === 0 ? null : rate);
  },

  async purge(deps, choice) {
    const { tenant, purpose } = keyOf(choice);
    const key = await getKey(deps, tenant, purpose);
    const version = nth(versionsIn(key, 'RETIRING', 'DESTROY_PENDING'), numberIn(choice, 'pick'));
    if (version === undefined) return;
    checkPurgeable(key, version, deps.clock.now(), deps.config);
    checkApprovable(key, version, deps.config, personOf(choice));
    await requestPurge(deps, { ...asked(choice), version });
  },

  resweep: (deps, choice) => requestResweep(deps, { ...asked(choice), reason: 'to be sure' }),

  async hold(deps, choice) {
    const { tenant, purpose } = keyOf(choice);
    const key = await getKey(deps, tenant, purpose);
    const version = nth(
      versionsIn(key, 'RETIRING', 'DESTROY_PENDING', 'ACTIVE', 'SUSPENDED'),
      numberIn(choice, 'pick'),
    );
    if (version === undefined) return;
    const hours = numberIn(choice, 'hours');
    const until = hours === 0 ? null : timestamp(deps.clock.now() + hours * 3_600_000);
    await holdVersion(deps, { tenant, purpose, version, note: 'a lawsuit', until, by: personOf(choice) });
  },

  /** Also of one that another person placed; the first time it asks for approvals. */
  async release(deps, choice) {
    const { tenant, purpose } = keyOf(choice);
    const { holds } = await getKey(deps, tenant, purpose);
    const hold = nth(
      holds.filter(({ reason }) => reason !== 'RESTORE'),
      numberIn(choice, 'pick'),
    );
    if (hold !== undefined) await requestRelease(deps, { ...asked(choice), holdId: hold.holdId });
  },

  'create-key': (deps, choice) => createKey(deps, keyOf(choice).tenant, keyOf(choice).purpose),

  async 'retry-quarantined'(deps, choice) {
    const { tenant, purpose } = keyOf(choice);
    const { keyId } = await getKey(deps, tenant, purpose);
    const records = await deps.ledger.listQuarantined(keyId);
    await retryQuarantined(deps, records, deps.config.rotation.chunkSize);
    await deps.clock.sleep(60_000);
    await settleQuarantine(deps, tenant, purpose);
  },

  /** Of all that is quarantined, whosever it is. The first time it asks for approvals. */
  async 'give-up'(deps, choice) {
    const found: QuarantinedRecord[] = [];
    for (const { keyId } of await deps.ledger.listKeys())
      found.push(...(await deps.ledger.listQuarantined(keyId)));
    const record = nth(found, numberIn(choice, 'pick'));
    if (record === undefined) return;
    const { tenant, recordSet, recordId, field } = record;
    await giveUp(deps, {
      ...{ tenant, recordSet, recordId, field },
      ...{ reason: 'it was damaged', requestedBy: personOf(choice) },
    });
  },
};

type Choice = Action['choice'];

export function textIn(choice: Choice, name: string): string {
  const found = choice[name];
  if (typeof found !== 'string') throw new TypeError(`The choice has no ${name}`);
  return found;
}

/** 0 where the choice says nothing of it. */
export function numberIn(choice: Choice, name: string): number {
  const found = choice[name] ?? 0;
  if (typeof found !== 'number') throw new TypeError(`The choice's ${name} is no number`);
  return found;
}

/** As the command line names them. */
export function personOf(choice: Choice): string {
  return `person:${textIn(choice, 'by')}`;
}

function keyOf(choice: Choice): { readonly tenant: string; readonly purpose: string } {
  return { tenant: textIn(choice, 'tenant'), purpose: textIn(choice, 'purpose') };
}

function asked(choice: Choice) {
  return { ...keyOf(choice), requestedBy: personOf(choice) };
}

function versionsIn({ versions }: TenantKey, ...states: readonly VersionState[]): readonly number[] {
  return Object.values(versions)
    .filter(({ state }) => states.includes(state))
    .map(({ version }) => version)
    .sort((a, b) => a - b);
}

/** Of the open ones of the key those that `may`; all of them when none may: then they say why not. */
async function chooseJobs(deps: Deps, choice: Choice, may: (job: Job) => boolean): Promise<readonly Job[]> {
  const { tenant, purpose } = keyOf(choice);
  const open = await listOpenJobs(deps, await getKey(deps, tenant, purpose));
  const chosen = open.filter(may);
  return chosen.length > 0 ? chosen : open;
}
