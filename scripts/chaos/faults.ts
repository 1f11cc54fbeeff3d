import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { RUNNING_STATUSES } from '../../shared/rotation/rotation.ts';
import type { FaultName, Figures } from './figures.ts';
import type { Fault } from './plan.ts';
import type { Victim } from './victim.ts';

/** Does what the plan says to the stack, and counts what fell on a running rotation. */

export interface FaultOptions {
  readonly victim: Victim;
  readonly figures: Figures;
  readonly note: (what: string) => void;
  /** `before ledger.replaceKey`: where a kill fell. */
  readonly onMoment: (what: string) => void;
  /** The stack was started again: its endpoints are others. */
  readonly onRestart: () => Promise<void>;
}

/** Of the open connections to the stack's servers, and of those to PostgreSQL. */
const CUT_SHARE = 0.7;
const LOOK_MS = 2_000;

export async function doFault(fault: Fault, options: FaultOptions): Promise<void> {
  const { victim, figures, note } = options;
  const running = await runningJobs(victim);
  const onRotation = running.some((kind) => kind === 'rotate');
  const where = running.length === 0 ? 'nothing ran' : `${running.join(', ')} ran`;
  const hit = (name: FaultName, count = 1) => figures.add(name, onRotation ? count : 0);
  switch (fault.what) {
    case 'kill':
      await kill(fault, where, options);
      hit(fault.hard ? 'killHard' : 'kill');
      if (running.some((kind) => kind === 'purge')) figures.add('killInPurge', 1);
      await victim.start();
      await options.onRestart();
      note('the stack is up again');
      return;
    case 'postgres':
      note(`PostgreSQL goes (${fault.how}) for ${fault.forMs} ms: ${where}`);
      await victim.stopPostgres(fault.how);
      hit(fault.how === 'fast' ? 'postgresStopped' : 'postgresCrashed');
      await sleep(fault.forMs);
      await victim.order({ do: 'start postgres' });
      note('PostgreSQL is up again');
      return;
    case 'cut': {
      const count =
        fault.where === 'http'
          ? await victim.order({ do: 'cut', share: CUT_SHARE })
          : await cutPostgres(victim.databaseUrl);
      note(`cut ${count} connections (${fault.where}): ${where}`);
      hit(fault.where === 'http' ? 'httpCut' : 'postgresCut', count);
      return;
    }
    case 'freeze':
      note(`freeze for ${fault.forMs} ms: ${where}`);
      victim.freeze();
      hit('frozen');
      await sleep(fault.forMs);
      victim.thaw();
      return;
  }
}

async function kill(
  { hard, moments }: Extract<Fault, { what: 'kill' }>,
  where: string,
  { victim, note, onMoment }: FaultOptions,
): Promise<void> {
  const what = `SIGKILL${hard ? ', PostgreSQL crashes' : ''}: ${where}`;
  if (moments === null) {
    note(what);
    return victim.kill(hard);
  }
  const moment = await victim.killAt(moments, hard);
  note(`${what}; ${moment ?? 'nothing was changed'}`);
  if (moment !== null) onMoment(moment);
}

/** Kinds of the jobs that run; none where the ledger does not answer in time. */
export async function runningJobs({ deps }: Victim): Promise<readonly string[]> {
  const listed = deps.ledger.listJobs({ statuses: RUNNING_STATUSES }).then(
    (jobs) => jobs.map(({ kind }) => kind),
    () => [],
  );
  return Promise.race([listed, sleep(LOOK_MS, [])]);
}

async function cutPostgres(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rowCount } = await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < $1`,
      [CUT_SHARE],
    );
    return rowCount ?? 0;
  } finally {
    await client.end();
  }
}
