import { rm } from 'node:fs/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { lambda, PermanentError, step, TransientError } from '../../functions/lambda.ts';
import { LedgerError } from '../../shared/errors/errors.ts';
import { readMetricLines } from '../support/metric-lines.ts';
import { makeStackFolder } from '../support/stack.ts';
import { linesWritten } from '../support/standard-output.ts';

/** What Powertools and middy make of a function, in this process. test/functions/bundle.test.ts: as it is deployed. */

const { dir, configPath } = await makeStackFolder({ recordSets: {} });
afterAll(() => rm(dir, { recursive: true, force: true }));

const SECRET = 'SECRET-4711';
const context = { getRemainingTimeInMillis: () => 60_000, functionName: 'f', awsRequestId: 'r' };

beforeEach(() => {
  vi.stubEnv('KEYTURN_CONFIG', configPath);
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('POWERTOOLS_SERVICE_NAME', 'keyturn-test');
});
afterEach(() => vi.unstubAllEnvs());

const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => {
      throw new Error('It did not fail');
    },
    (error: unknown) => error,
  );

/** Everything that a call writes, on both streams, and how it fails. */
async function watch(call: () => Promise<unknown>): Promise<{ lines: readonly string[]; error: unknown }> {
  const errors = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => process.stdout.write(chunk));
  let error: unknown;
  const lines = await linesWritten(async () => {
    error = await failure(call());
  });
  errors.mockRestore();
  return { lines, error };
}

describe('the handler that Lambda calls', () => {
  it('names the variables that are missing, tries a failed start again, and keeps what it made', async () => {
    let made = 0;
    const handler = lambda(() => {
      made += 1;
      return async () => 'done';
    }, ['ledger', 'executions']);
    for (let i = 0; i < 2; i++) {
      const { error } = await watch(() => handler({}, context));
      expect(error).toBeInstanceOf(PermanentError);
      expect(error).toMatchObject({
        name: 'PermanentError',
        message: expect.stringMatching(
          /^ENVIRONMENT_INVALID: .*: KEYTURN_LEDGER_TABLE, KEYTURN_ROTATE_KEY_ARN, .*PURGE.*, .*ADOPT_RECORDS_ARN$/,
        ),
      });
    }
    expect(made).toBe(0);
    vi.stubEnv('KEYTURN_LEDGER_TABLE', 'ledger');
    for (const name of ['ROTATE_KEY', 'PURGE_VERSION', 'ADOPT_RECORDS'])
      vi.stubEnv(`KEYTURN_${name}_ARN`, 'a');
    expect(await handler({}, context)).toBe('done');
    expect(await handler({}, context)).toBe('done');
    expect(made).toBe(1);
  });

  it('asks for no variable and makes no client that nobody declared', async () => {
    const handler = lambda(
      (deps) => async () => [
        await failure(deps.ledger.check.bind(deps.ledger)()).catch((error: unknown) => error),
      ],
      [],
    );
    const { error } = await watch(() => handler({}, context));
    expect(error).toMatchObject({ message: expect.stringMatching(/^NEED_NOT_DECLARED: .*"ledger"/) });
  });

  it('keeps what it made when a call fails', async () => {
    let made = 0;
    const errors = [new TransientError('X: later', null), new TypeError('a bug')];
    const handler = lambda(() => {
      made += 1;
      return async () => {
        const error = errors.shift();
        if (error !== undefined) throw error;
        return 'done';
      };
    }, []);
    for (const kind of [TransientError, PermanentError])
      expect((await watch(() => handler({}, context))).error).toBeInstanceOf(kind);
    expect(await handler({}, context)).toBe('done');
    expect(made).toBe(1);
  });

  it('lets an outage at its start be tried again by the state machine', async () => {
    const handler = lambda(() => {
      throw new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });
    }, []);
    const { error } = await watch(() => handler({}, context));
    expect(error).toBeInstanceOf(TransientError);
    expect(error).toMatchObject({ name: 'TransientError', message: 'LEDGER_UNAVAILABLE: down' });
  });
});

describe('what leaves a function', () => {
  it('is nothing of the event, and of an error no text but its own code, also where Powertools is told to', async () => {
    vi.stubEnv('POWERTOOLS_LOGGER_LOG_EVENT', 'true');
    const run = step(z.unknown(), async () => {
      throw new TypeError(`${SECRET}\n    at ${SECRET} (x.ts:1:1)`, { cause: new Error(SECRET) });
    });
    const { lines, error } = await watch(() => lambda(run, [])({ body: SECRET }, context));
    expect(error).toMatchObject({ message: 'UNEXPECTED: TypeError', cause: undefined });
    expect(
      JSON.stringify(Object.getOwnPropertyNames(error).map((name) => Reflect.get(Object(error), name))),
    ).not.toContain(SECRET);
    expect(lines.join('\n')).not.toContain(SECRET);
    expect(lines.map((line): unknown => JSON.parse(line))).toEqual([
      expect.objectContaining({
        level: 'ERROR',
        message: 'failed',
        code: 'UNEXPECTED',
        status: 'PermanentError',
        service: 'keyturn-test',
        function_name: 'f',
        function_request_id: 'r',
        stack: expect.stringContaining('lambda.test.ts'),
      }),
    ]);
  });

  it('are its metrics, also when it fails', async () => {
    for (const fails of [false, true]) {
      const handler = lambda(
        step(z.unknown(), async (deps) => {
          for (let i = 0; i < 101; i++) deps.metrics.add('KmsLatency', i);
          if (fails) throw new Error('x');
        }),
        [],
      );
      const { lines } = await watch(() => handler({}, context).then(() => Promise.reject()));
      const data = readMetricLines(lines);
      expect(data).toMatchObject([{ name: 'KmsLatency' }, { name: 'KmsLatency', values: [100] }]);
      for (const datum of data)
        expect(datum).toMatchObject({ namespace: 'Keyturn', dimensions: { service: 'keyturn-test' } });
      expect(data.flatMap(({ values }) => values)).toHaveLength(101);
    }
  });
});
