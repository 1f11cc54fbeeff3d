import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Executions, StateMachineName } from '../../shared/executions/executions.ts';

/** What every engine must do, run on each: the deployed state machines, with functions of the suite's own. */

/** By the name of the state that calls it. */
export type StateFunctions = Readonly<Record<string, (input: unknown) => unknown>>;

export interface ExecutionsUnderTest {
  readonly executions: Executions;
  /** Where nothing answers. */
  readonly unreachable: Executions;
  /** Goes on until it is so. */
  until(so: () => boolean | Promise<boolean>): Promise<void>;
  /** Until nothing happens any more by itself. */
  rest(): Promise<void>;
  stop(): Promise<void>;
}

export function describeExecutions(
  name: string,
  start: (functions: StateFunctions) => Promise<ExecutionsUnderTest>,
): void {
  describe(`executions on ${name}`, () => {
    let subject: ExecutionsUnderTest;
    /** Each test has a job of its own. */
    let input: { readonly jobId: string };
    let of: string;
    let letGo: () => void;
    let gone: Promise<void>;
    let barrier: { readonly passed: boolean; readonly waitSeconds: number };
    /** What each function was called with, in order. */
    const calls: [state: string, input: unknown][] = [];

    const answers: StateFunctions = {
      BeginPurge: () => gone.then(() => ({ round: 1, segments: [] })),
      CheckBarrier: () => barrier,
      DestroyVersion: () => ({ destroyed: true }),
      CreateVersion: () => {
        throw Object.assign(new Error('VERSION_STATE: no'), { name: 'PermanentError' });
      },
      StopJob: () => null,
    };
    const noted = Object.entries(answers).map(([state, answer]) => [
      state,
      async (given: unknown) => {
        calls.push([state, given]);
        return answer(given);
      },
    ]);
    beforeAll(async () => {
      subject = await start(Object.fromEntries(noted));
    });
    beforeEach(() => {
      input = { jobId: randomUUID() };
      of = `${input.jobId}-1`;
      barrier = { passed: true, waitSeconds: 0 };
      ({ promise: gone, resolve: letGo } = Promise.withResolvers<void>());
    });
    afterAll(() => subject?.stop());

    const callsOfThis = () => {
      const job = z.object({ jobId: z.literal(input.jobId) });
      return calls.filter(([, given]) => job.safeParse(given).success);
    };
    const called = () => callsOfThis().map(([state]) => state);
    const ended = (machine: StateMachineName) =>
      subject.until(async () => !(await subject.executions.isRunning(machine, of)));

    it('start once under a name: again while it runs and after its end', async () => {
      const { executions } = subject;
      expect(await executions.isRunning('purge-version', of)).toBe(false);
      expect(await executions.start('purge-version', of, input)).toBe('started');
      expect(await executions.isRunning('purge-version', of)).toBe(true);
      // As in AWS, the same name and input while it runs answers with the running one.
      expect(await executions.start('purge-version', of, input)).toBe('started');
      expect(await executions.start('purge-version', of, { jobId: 'other' })).toBe('exists');
      letGo();
      await ended('purge-version');
      expect(await executions.start('purge-version', of, input)).toBe('exists');
      await subject.rest();
      expect(callsOfThis()).toEqual([
        ['BeginPurge', input],
        ['CheckBarrier', input],
        ['DestroyVersion', { ...input, round: 1 }],
      ]);
    });

    it('have names by machine', async () => {
      const { executions } = subject;
      await executions.start('purge-version', of, input);
      expect(await executions.isRunning('rotate-key', of)).toBe(false);
      expect(await executions.start('rotate-key', of, input)).toBe('started');
      await ended('rotate-key');
      expect(await executions.isRunning('purge-version', of)).toBe(true);
    });

    it('of ten at one time is one', async () => {
      letGo();
      const starts = Array.from({ length: 10 }, () => subject.executions.start('purge-version', of, input));
      await Promise.all(starts);
      await ended('purge-version');
      await subject.rest();
      expect(called()).toEqual(['BeginPurge', 'CheckBarrier', 'DestroyVersion']);
    });

    it('that failed are not running, and stay used up', async () => {
      expect(await subject.executions.start('rotate-key', of, input)).toBe('started');
      await ended('rotate-key');
      expect(called()).toEqual(['CreateVersion', 'StopJob']);
      expect(callsOfThis()[1]?.[1]).toMatchObject({
        ...input,
        error: { Error: 'PermanentError', Cause: expect.stringContaining('VERSION_STATE: no') },
      });
      expect(await subject.executions.start('rotate-key', of, input)).toBe('exists');
    });

    it('that wait are stopped where they stand', async () => {
      letGo();
      barrier = { passed: false, waitSeconds: 3600 };
      await subject.executions.start('purge-version', of, input);
      await subject.until(() => called().includes('CheckBarrier'));
      await subject.executions.stop('purge-version', of);
      await ended('purge-version');
      expect(await subject.executions.start('purge-version', of, input)).toBe('exists');
      await subject.rest();
      expect(called()).toEqual(['BeginPurge', 'CheckBarrier']);
    });

    it('are stopped while a step runs: it goes on, and nothing comes after it', async () => {
      await subject.executions.start('purge-version', of, input);
      await subject.until(() => called().includes('BeginPurge'));
      await subject.executions.stop('purge-version', of);
      await ended('purge-version');
      letGo();
      await subject.rest();
      expect(called()).toEqual(['BeginPurge']);
    });

    it('that ended, or never were, are stopped already', async () => {
      letGo();
      await subject.executions.start('purge-version', of, input);
      await ended('purge-version');
      await subject.executions.stop('purge-version', of);
      await subject.executions.stop('rotate-key', of);
      expect(await subject.executions.start('purge-version', of, input)).toBe('exists');
    });

    it('are unavailable, retryable, where nothing answers', async () => {
      const down = {
        name: 'RotationError',
        code: 'EXECUTIONS_UNAVAILABLE',
        retryable: true,
      };
      const { unreachable } = subject;
      await expect(unreachable.start('rotate-key', of, input)).rejects.toMatchObject(down);
      await expect(unreachable.isRunning('rotate-key', of)).rejects.toMatchObject(down);
      await expect(unreachable.stop('rotate-key', of)).rejects.toMatchObject(down);
    });
  });
}
