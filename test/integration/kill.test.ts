import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { composeLocal, startStack } from '../../local/stack.ts';
import { type StackInfo, stackInfoSchema } from '../../local/stack-info.ts';
import { loadConfig } from '../../shared/config/load.ts';
import type { ComposedDeps } from '../../shared/deps/compose.ts';
import { silentLog } from '../../shared/log/log.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { createPeople, emailOf, PEOPLE_SET, TENANT } from '../support/people.ts';
import { createTestPool } from '../support/postgres.ts';
import { DATABASE, makeStackFolder, SHORT_TIMES, type TestStack } from '../support/stack.ts';

/**
 * The process that runs everything is killed with SIGKILL again and again, each time a few moments further, until
 * the rotation and the purge have ended. Moments are before and after every call that changes something, so over
 * the whole run the kill falls on every kind of step, and on most of them more than once.
 */

const COUNT = 120;

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly info: StackInfo | null;
}

describe('killed at many moments', () => {
  let folder: { dir: string; configPath: string };
  const children: ChildProcess[] = [];

  beforeEach(async () => {
    folder = await makeStackFolder({
      recordSets: PEOPLE_SET,
      rotation: { ...SHORT_TIMES, chunkSize: 10, segments: 2, maxTransactionSeconds: 1, stallSeconds: 10 },
    });
  });
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder.dir, { recursive: true, force: true });
  });

  it.each([
    ['rewrap', 1],
    ['re-encrypt', 2],
  ] as const)('%s: a rotation and its purge end, and every record opens', async (mode, stride) => {
    const { keyId, jobId } = await prepare(mode);
    let kills = 0;
    let ended = false;
    for (let moments = 1; !ended; moments += stride) {
      expect(kills, 'kills until the end').toBeLessThan(60);
      const running = await start(moments);
      if (running.info !== null) ended = await watchUntilEnd(running.info, running.exited, keyId);
      if (!ended) {
        await running.exited;
        kills += 1;
      } else {
        running.child.kill('SIGKILL');
        await running.exited;
      }
    }
    // How many it takes depends on how much a start repeats; fewer than this would not fall on every kind of step.
    expect(kills).toBeGreaterThanOrEqual(6);
    await verify(jobId);
  });

  /** Fills the database and requests the rotation; its execution is lost when this stack ends. */
  async function prepare(mode: 'rewrap' | 're-encrypt'): Promise<{ keyId: string; jobId: string }> {
    const { stack, pool } = await startHere();
    await createPeople({ ...stack, pool } as TestStack, COUNT);
    const { job } = await requestRotation(stack.deps, {
      tenant: TENANT,
      purpose: 'default',
      mode,
      requestedBy: 'test',
    });
    await pool.end();
    await stack.stop();
    return { keyId: job.keyId, jobId: job.jobId };
  }

  async function startHere() {
    const stack = await startStack({
      dir: join(folder.dir, 'stack'),
      loaded: await loadConfig(folder.configPath),
      environment: {},
      log: silentLog,
      sweepSeconds: 3600,
    });
    const pool = createTestPool(stack.postgres?.url(DATABASE));
    pool.on('error', () => undefined);
    return { stack, pool };
  }

  async function start(moments: number): Promise<Running> {
    const script = new URL('../support/stack-process.ts', import.meta.url).pathname;
    const child = spawn(
      process.execPath,
      [script, join(folder.dir, 'stack'), folder.configPath, String(moments)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    children.push(child);
    const exited = once(child, 'exit');
    const lines = createInterface({ input: child.stdout });
    const first = await Promise.race([once(lines, 'line'), exited.then(() => null)]);
    if (first === null) return { child, exited, info: null };
    return { child, exited, info: stackInfoSchema.parse(JSON.parse(String(first[0]))) };
  }

  /** True when version 1 is destroyed; false when the process died first. */
  async function watchUntilEnd(info: StackInfo, exited: Promise<unknown>, keyId: string): Promise<boolean> {
    const deps = await composeLocal(info, {
      actor: 'person:test',
      loaded: await loadConfig(folder.configPath),
      environment: {},
      log: silentLog,
    });
    let died = false;
    void exited.then(() => {
      died = true;
    });
    try {
      while (!died) {
        const key = await deps.ledger.getKey(TENANT, 'default').catch(() => null);
        if (key !== null) expect(key.keyId).toBe(keyId);
        if (key?.versions['1']?.state === 'DESTROYED' && (await allJobsEnded(deps))) return true;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return false;
    } finally {
      await deps.close();
    }
  }

  async function allJobsEnded(deps: ComposedDeps): Promise<boolean> {
    const jobs = await deps.ledger.listJobs().catch(() => []);
    return jobs.length === 2 && jobs.every(({ status }) => status === 'COMPLETED');
  }

  async function verify(jobId: string): Promise<void> {
    const { stack, pool } = await startHere();
    try {
      const people = await createPeople({ ...stack, pool } as TestStack, 0);
      for (let id = 1; id <= COUNT; id++) expect(await people.open(id)).toBe(emailOf(id));
      const job = await stack.deps.ledger.getJob(jobId);
      if (job === null) throw new Error('The job is gone');
      expect(job.census).toMatchObject({ stale: 0, malformed: 0 });
      // Counted once, although the same chunks were sent and worked on several times.
      const total = sumProgress(await readProgress(stack.deps, job));
      expect(total).toMatchObject({ quarantined: 0, remaining: 0 });
      expect(total.rewrapped + total.skipped).toBe(total.planned);
      const key = await stack.deps.ledger.getKey(TENANT, 'default');
      expect(key).toMatchObject({ active: 2, rotationId: null });
      expect(Object.values(key?.versions ?? {}).map(({ state }) => state)).toEqual(['DESTROYED', 'ACTIVE']);
    } finally {
      await pool.end();
      await stack.stop();
    }
  }
});
