import { join } from 'node:path';
import { GetQueueAttributesCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startPostgres } from '../../local/postgres.ts';
import { createLocalClients } from '../../local/stack-info.ts';
import type { ComposedDeps } from '../../shared/deps/compose.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import type { RotationMode } from '../../shared/rotation/rotation.ts';
import { createPeople, emailOf, PEOPLE_SET, type People, TENANT } from '../support/people.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** What happens to databases and queues in real life, in the middle of a rotation. */

const COUNT = 200;
const KEY = { tenant: TENANT, purpose: 'default', requestedBy: 'test' };

describe('in the middle of a rotation', () => {
  let stack: TestStack;
  let people: People;
  /** Called before each write to the record store. */
  let beforeReplace: (call: number) => Promise<void>;

  const decorate = (deps: ComposedDeps): ComposedDeps => {
    let calls = 0;
    return {
      ...deps,
      recordSets: {
        ...deps.recordSets,
        store: (name) => {
          const store = deps.recordSets.store(name);
          const faulty = async <T>(write: () => Promise<T>): Promise<T> => {
            calls += 1;
            await beforeReplace(calls);
            return write();
          };
          return {
            ...store,
            replace: (changes) => faulty(() => store.replace(changes)),
            replaceFrames: (changes) => faulty(() => store.replaceFrames(changes)),
          };
        },
      },
    };
  };

  beforeEach(async () => {
    beforeReplace = async () => undefined;
    stack = await startTestStack(
      { recordSets: PEOPLE_SET, rotation: { chunkSize: 10, segments: 2, maxRounds: 2, stallSeconds: 3 } },
      { sweepSeconds: 3600, visibilitySeconds: 1, decorate },
    );
    people = await createPeople(stack, COUNT);
  });
  afterEach(() => stack.remove());

  const rotate = async (mode: RotationMode = 'rewrap') => {
    const { job } = await requestRotation(stack.deps, { ...KEY, mode });
    return jobEnded(stack, job.jobId);
  };
  const expectAllOpen = async (ids: readonly number[]) => {
    for (const id of ids) expect(await people.open(id)).toBe(emailOf(id));
  };
  const all = Array.from({ length: COUNT }, (_, i) => i + 1);

  it('rows are deleted: they are skipped, and nothing waits for them', async () => {
    beforeReplace = async (call) => {
      if (call === 2) await people.pool.query('DELETE FROM people WHERE id % 3 = 0');
    };
    const job = await rotate();
    expect(job).toMatchObject({ status: 'COMPLETED', census: { stale: 0 } });
    const total = sumProgress(await readProgress(stack.deps, job));
    expect(total).toMatchObject({ quarantined: 0, remaining: 0 });
    expect(total.skipped).toBeGreaterThan(0);
    await expectAllOpen(all.filter((id) => id % 3 !== 0));
  });

  it.each(['rewrap', 're-encrypt'] as const)(
    '%s: the application writes between the read and the write of the worker, and wins',
    async (mode) => {
      let raced = 0;
      // One after the other: chunks are worked on side by side.
      let writing = Promise.resolve();
      beforeReplace = (call) => {
        if (call > 2) return writing;
        writing = writing.then(async () => {
          // Every record of the chunk that is just being worked on, and of every other.
          for (const id of all.slice(0, 40)) await people.write(id, `changed-${call}-${id}@example.org`);
          raced = call;
        });
        return writing;
      };
      expect(await rotate(mode)).toMatchObject({ status: 'COMPLETED', mode, census: { stale: 0 } });
      expect(raced).toBe(2);
      for (const id of all.slice(0, 40)) expect(await people.open(id)).toBe(`changed-2-${id}@example.org`);
      await expectAllOpen(all.slice(40));
    },
  );

  it('the database becomes read-only: it stops with the blocker named, and a later request ends it', async () => {
    beforeReplace = async (call) => {
      if (call !== 3) return;
      await people.pool.query('ALTER DATABASE app SET default_transaction_read_only = on');
      await people.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app' AND pid <> pg_backend_pid()`,
      );
    };
    const blocked = await rotate();
    expect(blocked.status).toBe('BLOCKED');
    expect(blocked.blocker).toMatchObject({ code: 'STALE_RECORDS' });
    expect(blocked.blocker?.message).toMatch(/people: .*on version 1/);
    const progress = sumProgress(await readProgress(stack.deps, blocked));
    expect(progress.remaining).toBeGreaterThan(0);
    expect(progress.rewrapped + progress.skipped + progress.quarantined + progress.remaining).toBe(
      progress.planned,
    );

    beforeReplace = async () => undefined;
    await people.pool.query(
      // Whichever connection the pool gives: a new one is read-only by default.
      'BEGIN READ WRITE; ALTER DATABASE app RESET default_transaction_read_only; COMMIT',
    );
    await people.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app' AND pid <> pg_backend_pid()`,
    );
    const again = await requestRotation(stack.deps, KEY);
    expect(again).toMatchObject({ answer: 'resumed', job: { jobId: blocked.jobId, attempt: 2 } });
    expect(await jobEnded(stack, blocked.jobId)).toMatchObject({ status: 'COMPLETED', from: 1, to: 2 });
    await expectAllOpen(all);
  });

  it('the column is renamed: it stops, naming it, and goes on when it is back', async () => {
    beforeReplace = async (call) => {
      if (call === 2) await people.pool.query('ALTER TABLE people RENAME COLUMN email_enc TO mail_enc');
    };
    const blocked = await rotate();
    expect(blocked.status).toBe('BLOCKED');
    expect(blocked.blocker).toMatchObject({ code: 'STEP_FAILED' });
    expect(blocked.blocker?.message).toMatch(/COLUMN_NOT_FOUND: .*email_enc/);
    beforeReplace = async () => undefined;
    await people.pool.query('ALTER TABLE people RENAME COLUMN mail_enc TO email_enc');
    expect(await rotate()).toMatchObject({ status: 'COMPLETED' });
    await expectAllOpen(all);
  });

  it('the database is gone for a while: the rotation waits for it', async () => {
    const { postgres } = stack;
    if (postgres === null) throw new Error('No PostgreSQL');
    let restarted: Awaited<ReturnType<typeof startPostgres>> | undefined;
    let stopped: Promise<void> | undefined;
    beforeReplace = async (call) => {
      if (call === 3) {
        stopped = postgres.stop().then(async () => {
          restarted = await startPostgres({ dir: join(stack.dir, 'stack', 'postgres'), port: postgres.port });
        });
      }
      await stopped;
    };
    expect(await rotate()).toMatchObject({ status: 'COMPLETED', census: { stale: 0 } });
    expect(restarted?.port).toBe(postgres.port);
    await expectAllOpen(all);
    await restarted?.stop();
  });

  it('a chunk that always fails goes to the dead-letter queue, and leaves the rotation visibly incomplete', async () => {
    const sqs = createLocalClients(stack.info.endpoints).sqs;
    const forged = {
      v: 1,
      jobId: '00000000-0000-4000-8000-000000000000',
      tenant: TENANT,
      recordSet: 'people',
    };
    for (const body of [
      JSON.stringify({ ...forged, progress: null, keys: [['1']] }),
      'not JSON',
      '{"v":2}',
    ]) {
      await sqs.send(new SendMessageCommand({ QueueUrl: stack.info.queueUrl, MessageBody: body }));
    }
    // They disturb no rotation.
    expect(await rotate()).toMatchObject({ status: 'COMPLETED' });
    await eventually(async () => {
      const depth = await sqs.send(
        new GetQueueAttributesCommand({
          QueueUrl: stack.info.deadLetterQueueUrl,
          AttributeNames: ['ApproximateNumberOfMessages'],
        }),
      );
      return depth.Attributes?.['ApproximateNumberOfMessages'] === '3';
    }, 'three messages in the dead-letter queue');
    await expectAllOpen(all);
  });
});
