import { beforeEach, describe, expect, it } from 'vitest';
import { create as processChunk } from '../../../functions/process-chunk/index.ts';
import type { LedgerStore } from '../../../shared/audit/outbox.ts';
import type { Deps } from '../../../shared/deps/deps.ts';
import { silentMetrics } from '../../../shared/metrics/metrics.ts';
import { readBody, writeBody } from '../../../shared/queue/message-body.ts';
import type { ChunkMessage } from '../../../shared/queue/work-queue.ts';
import type { HappenedEvent } from '../../../simulation/history.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import { planOf } from '../../../simulation/plan-of.ts';
import type { Process } from '../../../simulation/process.ts';
import {
  type DeploymentPhase,
  type Release,
  startDeployment,
} from '../../../simulation/releases/deployment.ts';
import { createKeeper } from '../../../simulation/releases/kept.ts';
import { LATER } from '../../../simulation/releases/later.ts';
import {
  asNextRelease,
  queueOfNextRelease,
  readingNextMessages,
} from '../../../simulation/releases/next-release.ts';
import { asThisRelease } from '../../../simulation/releases/this-release.ts';
import { simulate } from '../../../simulation/simulate.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';
import { makeParts, runAll, START, surely } from '../support/parts.ts';

const AT = '2026-01-01T00:00:00.000Z';
const UNREADABLE = { code: 'LEDGER_ITEM_INVALID', message: expect.stringContaining(LATER) };

const hold = {
  ...{ holdId: 'h', versions: [1], reason: 'PERSON' as const, store: null, note: null, by: 'olaf' },
  ...{ at: AT, until: null, endedEpoch: null },
};
const restore = {
  ...{ restoreId: 'r', store: 'main', backupTime: AT, backupEnd: AT, status: 'BEGUN' as const, keys: null },
  ...{ requestedBy: 'olaf', begunAt: AT, readyAt: null, endedAt: null, refusal: null, revision: 1 },
};
const entry = { requestId: 'q', at: AT, why: 'w' };
const event = { tenant: 'acme', eventId: 'e', at: AT, actor: 'a', type: 't', detail: {}, afterSequence: 0 };

describe('two releases on one ledger', () => {
  let commits: HappenedEvent[];
  let ledgers: Record<Release, LedgerStore>;
  beforeEach(() => {
    commits = [];
    const ledger = createMemoryLedger({
      onCommit: (item, id, value) => commits.push({ kind: 'item', item, id, value, by: 'x' }),
    });
    ledgers = { this: asThisRelease(ledger), next: asNextRelease(ledger) };
  });
  const erased = () => {
    const found: string[] = [];
    const keeper = createKeeper((_, what) => found.push(what));
    for (const commit of commits) keeper.see(commit);
    return found;
  };

  it('read what this one wrote alike', async () => {
    const key = testKey({ holds: [hold] });
    await ledgers.this.createKey(key);
    await ledgers.this.createJob(testJob());
    for (const ledger of [ledgers.this, ledgers.next]) {
      expect(await ledger.getKey('acme', 'default')).toEqual(key);
      expect((await ledger.readJob('job-1'))?.item).toEqual(testJob());
    }
    expect(JSON.stringify(commits)).not.toContain(LATER);
  });

  it('differ on what the next one wrote: it reads it as ever, and this one refuses it', async () => {
    const { next } = ledgers;
    await next.leaving(event).createKey(testKey({ holds: [hold] }));
    await next.createJob(testJob());
    await next.createRestore(restore);
    await next.voidApprovalRequest(entry);
    expect(await next.getKey('acme', 'default')).toEqual(testKey({ holds: [hold] }));
    expect(await next.listJobs()).toEqual([testJob()]);
    expect(await next.listRestores()).toEqual([restore]);
    expect(await next.getApprovalVoid('q')).toEqual(entry);
    const older = ledgers.this;
    for (const read of [
      () => older.getKey('acme', 'default'),
      () => older.readKey('acme', 'default'),
      () => older.scanKeys(),
      () => older.createKey(testKey()),
      () => older.getJob('job-1'),
      () => older.readJob('job-1'),
      () => older.listRestores(),
      () => older.getApprovalVoid('q'),
    ])
      await expect(read()).rejects.toMatchObject(UNREADABLE);
    const skipped: string[] = [];
    expect(await older.listKeys((what) => skipped.push(what))).toEqual([]);
    expect(await older.listJobs({}, (what) => skipped.push(what))).toEqual([]);
    expect(skipped).toHaveLength(2);
  });

  it('are seen when one takes away what the other wrote: of a version, of a hold, of a job', async () => {
    await ledgers.next.createKey(testKey({ holds: [hold] }));
    await ledgers.next.createJob(testJob());
    // A hold that is over goes with all that it had.
    await ledgers.next.replaceKey(testKey({ revision: 2 }));
    expect(erased()).toEqual([]);
    // As this release would, if it did not refuse what it does not know.
    await ledgers.this.replaceKey(testKey({ revision: 3 }));
    await ledgers.this.replaceJob(testJob({ revision: 2 }));
    expect(erased()).toEqual([
      expect.stringContaining('version 1 of keys'),
      expect.stringContaining('the whole of jobs'),
    ]);
  });
});

const MESSAGE: ChunkMessage = {
  ...{ v: 1, jobId: '01900000-0000-7000-8000-000000000002', tenant: 'acme', recordSet: 'people' },
  ...{ progress: null, keys: [['1']] },
};

describe('a message of the next release', () => {
  async function sent(): Promise<string> {
    const bodies: string[] = [];
    const queue = queueOfNextRelease({
      send: async (messages) => {
        for (const message of messages) bodies.push(await writeBody(testState, message));
      },
    });
    await queue.send([MESSAGE]);
    return bodies[0] ?? '';
  }
  const forge = () => {
    throw new Error('told as forged');
  };

  it('is handed back by a worker of this one, and is not forged', async () => {
    const body = await sent();
    await expect(readBody(testState, body, forge)).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    const failed: string[] = [];
    const deps = {
      ...{ state: testState, metrics: silentMetrics },
      log: { error: (_: string, { code = '' }) => failed.push(code) },
    } as unknown as Deps;
    const work = processChunk(deps);
    const answer = await work(
      { Records: [{ messageId: '1', body }] },
      { getRemainingTimeInMillis: () => 60_000 },
    );
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: '1' }] });
    expect(failed).toEqual(['MESSAGE_INVALID']);
  });

  it('and one of this release are read by a worker of the next; a changed one by nobody', async () => {
    const read: unknown[] = [];
    const work = readingNextMessages(async (received) => {
      const { Records } = received as { Records: { body: string }[] };
      for (const { body } of Records)
        read.push(await readBody(testState, body, () => undefined).catch(String));
      return null;
    }, testState);
    const own = await writeBody(testState, MESSAGE);
    const changed = (await sent()).replace('acme', 'other');
    const Records = [await sent(), own, changed].map((body, i) => ({ messageId: String(i), body }));
    await work({ Records }, { getRemainingTimeInMillis: () => 60_000 });
    expect(read).toEqual([MESSAGE, MESSAGE, expect.stringContaining('is not a chunk')]);
  });
});

describe('a deployment', () => {
  const HOUR = 3_600_000;
  const quietAfter = 4 * HOUR;

  async function deployed(seed: number, fires: boolean) {
    const { scheduler, dice } = makeParts(seed);
    const faults = surely(fires ? ['mixed-code'] : []);
    const phases: [DeploymentPhase, string, number][] = [];
    const processes: Process[] = [];
    const started = () => {
      const process = { name: String(processes.length) } as Partial<Process> as Process;
      processes.push(process);
      return process;
    };
    const first = started();
    const deployment = startDeployment({
      ...{ scheduler, faults, dice, quietAfter },
      onPhase: (phase) => phases.push([phase, deployment.releaseOf(started()), scheduler.now() - START]),
    });
    expect(deployment.releaseOf(first)).toBe('this');
    await runAll(scheduler, START + quietAfter);
    // It lives for as long as it has one release.
    expect(deployment.releaseOf(first)).toBe('this');
    return { phases, last: deployment.releaseOf(started()), fired: faults.fired.get('mixed-code') ?? 0 };
  }

  it('is over before faults stop, and then all that begins is of the next release', async () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 30; seed++) {
      const { phases, last, fired } = await deployed(seed, true);
      seen.add(phases.map(([phase, release]) => `${phase}: ${release}`).join(', '));
      expect(phases.at(-1)?.[2]).toBeLessThan(quietAfter);
      expect({ last, fired }).toEqual({ last: 'next', fired: 1 });
    }
    expect(seen).toEqual(
      new Set(['rolling: next, done: next', 'rolling: next, rolled-back: this, done: next']),
    );
  });

  it('that no process of the next release was part of was none', async () => {
    const { phases, last } = await deployed(1, false);
    expect({ phases: phases.map(([phase]) => phase), last }).toEqual({ phases: ['rolling'], last: 'this' });
  });
});

describe('a simulation with two releases', () => {
  it('has older processes meet what the next release wrote, and breaks no rule', async () => {
    let met = 0;
    let back = 0;
    for (let seed = 1000; seed < 1030; seed++) {
      const { violations, trace, history } = await simulate(planOf(seed, ['mixed-code']), {
        keepTrace: true,
      });
      expect(violations).toEqual([]);
      met += trace.filter((line) => line.endsWith('LEDGER_ITEM_INVALID')).length;
      back += history.filter((each) => each.kind === 'deployment' && each.phase === 'rolled-back').length;
    }
    expect(met).toBeGreaterThan(20);
    expect(back).toBeGreaterThan(0);
  });
});
