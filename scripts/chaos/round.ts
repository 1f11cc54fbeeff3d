import { setTimeout as sleep } from 'node:timers/promises';
import { createDice } from '../../simulation/dice.ts';
import { raiseAll, selectFences } from '../cli/fences.ts';
import { RECORD_SET } from '../demo/records.ts';
import { createPool } from './application.ts';
import { checkAll } from './check.ts';
import { doFault, type FaultOptions, runningJobs } from './faults.ts';
import type { FaultName } from './figures.ts';
import { createPeople } from './people.ts';
import { planRound } from './plan.ts';
import type { World } from './world.ts';

/** One round: requests and faults at once, then rest, then everything is looked at. */

export interface RoundReport {
  readonly round: number;
  readonly faults: Readonly<Record<FaultName, number>>;
  readonly writes: number;
  readonly reads: number;
  readonly inDoubt: number;
  readonly records: number;
  /** Rotations that were asked for or ended in it. */
  readonly rotations: number;
  readonly blockers: Readonly<Record<string, number>>;
  /** Versions that are destroyed by now. */
  readonly destroyed: number;
  readonly seconds: number;
  readonly violations: readonly string[];
}

export interface RoundOptions {
  readonly round: number;
  /** The table has its fence from this round on. */
  readonly fencedFrom: number;
  readonly certified: Set<string>;
  readonly signal: AbortSignal;
}

export async function runRound(world: World, options: RoundOptions): Promise<RoundReport> {
  const { victim, application, note, figures } = world;
  const { round, signal } = options;
  const began = performance.now();
  const startedAt = new Date().toISOString();
  const { writes, reads, inDoubt } = application.counts;
  const plan = planRound(world.seed, round, world.tenants);
  note(`round ${round} begins`);
  if (round === options.fencedFrom) await installFence(world);

  // When one of the two fails, the other ends.
  const either = new AbortController();
  const both = AbortSignal.any([signal, either.signal]);
  const orEnd = async (work: Promise<unknown>) => {
    try {
      await work;
    } catch (error) {
      either.abort();
      throw error;
    }
  };
  const people = createPeople({ deps: () => victim.deps, note, signal: both });
  const orderQueue = () => victim.order({ do: 'queue', faults: plan.queue });
  await orderQueue();
  application.start();
  const asking = plan.requests.map(async ({ atMs, request }) => {
    await sleep(atMs, undefined, { signal: both });
    await people.ask(request);
  });
  const breaking = (async () => {
    for (const { afterMs, fault } of plan.faults) {
      await sleep(afterMs, undefined, { signal: both });
      // A fault that breaks nothing proves nothing.
      if (!(await runningJobs(victim)).some((kind) => kind === 'rotate')) await people.ask(ANOTHER);
      await doFault(fault, faultOptions(world, orderQueue));
    }
  })();
  await settle([orEnd(Promise.all(asking)), orEnd(breaking)]);

  note('no more faults');
  const quiet = await people.untilQuiet();
  note('every rotation has ended');
  await application.pause();
  const isOfRound = ({ requestedAt, completedAt }: { requestedAt: string; completedAt: string | null }) =>
    requestedAt >= startedAt || (completedAt ?? '') >= startedAt;
  const rotations = quiet.rotations.filter(isOfRound);
  const checked = await check(world, options, rotations, false);
  return {
    round,
    faults: figures.round(),
    writes: application.counts.writes - writes,
    reads: application.counts.reads - reads,
    inDoubt: application.counts.inDoubt - inDoubt,
    records: checked.records,
    rotations: rotations.length,
    blockers: Object.fromEntries(quiet.blockers),
    destroyed: checked.destroyed,
    seconds: (performance.now() - began) / 1000,
    violations: [...world.violations],
  };
}

const ANOTHER = { what: 'rotate', tenant: 0, mode: 'rewrap', recordsPerSecond: null } as const;

function faultOptions(world: World, onRestart: () => Promise<unknown>): FaultOptions {
  const { victim, figures, note, moments, application } = world;
  return {
    ...{ victim, figures, note },
    onMoment: (what) => void moments.set(what, (moments.get(what) ?? 0) + 1),
    async onRestart() {
      application.connect(victim.databaseUrl);
      await onRestart();
    },
  };
}

/** Nothing goes on when it returns. Throws what failed first, not what ended because of it. */
async function settle(works: readonly Promise<void>[]): Promise<void> {
  const failures: unknown[] = [];
  await Promise.all(works.map((work) => work.catch((error: unknown) => failures.push(error))));
  if (failures.length > 0) throw failures[0];
}

const PURGES_MS = 120_000;

/** Of a purge: it changes little. */
const MOST_MOMENTS = 12;

/**
 * After the last round: the application goes on, and the stack is killed once more, in the middle of a purge, until every
 * version that was retired is destroyed or its purge names why not.
 */
export async function runEnd(
  world: World,
  options: RoundOptions,
): Promise<{ records: number; destroyed: number }> {
  const { victim, application, note } = world;
  const end = performance.now() + PURGES_MS;
  const dice = createDice(world.seed, 'end');
  let killed = false;
  application.start();
  for (;;) {
    options.signal.throwIfAborted();
    const left = await unpurged(world);
    if (left.length === 0) break;
    if (!killed && (await runningJobs(victim)).some((kind) => kind === 'purge')) {
      killed = true;
      const kill = { what: 'kill', hard: false, moments: dice.between(1, MOST_MOMENTS) } as const;
      await doFault(
        kill,
        faultOptions(world, async () => undefined),
      );
    }
    if (performance.now() > end) {
      world.violations.push(`not purged, and no blocker: ${left.join(', ')}`);
      break;
    }
    await sleep(200, undefined, { signal: options.signal });
  }
  note('every purge has ended');
  await application.pause();
  return check(world, options, await victim.deps.ledger.listJobs({ kind: 'rotate' }), true);
}

async function unpurged({ victim: { deps } }: World): Promise<string[]> {
  const purges = await deps.ledger.listJobs({ kind: 'purge' });
  const stopped = new Set(
    purges
      .filter(({ status, blocker }) => status === 'BLOCKED' && blocker !== null)
      .map(({ keyId, from }) => `${keyId}/${from}`),
  );
  const ended = new Set(
    purges.filter(({ status }) => status === 'COMPLETED').map(({ keyId, from }) => `${keyId}/${from}`),
  );
  return (await deps.ledger.scanKeys()).flatMap(({ keyId, versions }) =>
    Object.values(versions)
      .filter(({ state, version, activatedAt }) => {
        // One that was never active has nothing to be purged: its rotation was called off.
        if (state === 'ACTIVE' || activatedAt === null) return false;
        const name = `${keyId}/${version}`;
        return state === 'DESTROYED' ? !ended.has(name) : !stopped.has(name);
      })
      .map(({ version, state }) => `${keyId}/${version} (${state})`),
  );
}

async function check(
  world: World,
  { round, fencedFrom, certified }: RoundOptions,
  rotations: Parameters<typeof checkAll>[0]['rotations'],
  purgesEnded: boolean,
) {
  const pool = createPool(world.victim.databaseUrl);
  try {
    const checked = await checkAll({
      deps: world.victim.deps,
      pool,
      journal: world.journal,
      tenants: world.tenants,
      rotations,
      fenced: round >= fencedFrom,
      purgesEnded,
      certified,
    });
    for (const problem of checked.problems) {
      world.note(`VIOLATION: ${problem}`);
      world.violations.push(problem);
    }
    return checked;
  } finally {
    await pool.end();
  }
}

async function installFence({ victim: { deps }, note }: World): Promise<void> {
  for (const { fence } of selectFences(deps, RECORD_SET)) await fence?.install();
  await raiseAll(deps);
  note('the table has its fence');
}
