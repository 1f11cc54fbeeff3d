import { Logger } from '@aws-lambda-powertools/logger';
import type { Context } from 'aws-lambda';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createPowertoolsLog } from '../../../shared/log/powertools-log.ts';
import { linesWritten } from '../../support/standard-output.ts';

const SECRET = 'SECRET-4711';
const ALLOWED = {
  jobId: 'j',
  tenant: 'acme',
  purpose: 'default',
  keyId: 'k',
  version: 2,
  recordSet: 'people',
  round: 1,
  segment: 0,
  status: 'SWEEPING',
  code: 'STEP_FAILED',
  count: 0,
  step: 'sweep',
  executionName: 'j-1',
  stack: 'at x',
};
const context = {
  awsRequestId: 'request-1',
  functionName: 'keyturn-test-sweep',
  invokedFunctionArn: 'arn:aws:lambda:eu-central-1:000000000000:function:keyturn-test-sweep',
  memoryLimitInMB: '512',
} as unknown as Context;

afterEach(() => vi.unstubAllEnvs());

async function logged(write: (log: ReturnType<typeof createPowertoolsLog>) => void) {
  vi.stubEnv('AWS_LAMBDA_INITIALIZATION_TYPE', 'on-demand');
  vi.stubEnv('_X_AMZN_TRACE_ID', 'Root=1-67891233-abcdef012345678912345678;Parent=1;Sampled=1');
  // Each level goes to the stream of its name.
  const errors = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => process.stdout.write(chunk));
  const logger = new Logger({ serviceName: 'keyturn-test' });
  logger.addContext(context);
  const lines = await linesWritten(() => write(createPowertoolsLog(logger)));
  errors.mockRestore();
  return { lines, parsed: lines.map((line): unknown => JSON.parse(line)) };
}

const BASE = {
  timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
  service: 'keyturn-test',
  cold_start: true,
  function_arn: context.invokedFunctionArn,
  function_memory_size: '512',
  function_name: 'keyturn-test-sweep',
  function_request_id: 'request-1',
  sampling_rate: 0,
  xray_trace_id: '1-67891233-abcdef012345678912345678',
};

describe('the log of a Lambda', () => {
  it('has the allowed fields, and what Powertools knows of the invocation', async () => {
    const { parsed } = await logged((log) => {
      log.info('one', ALLOWED);
      log.warn('two', {});
      log.error('three');
    });
    expect(parsed).toEqual([
      { ...BASE, level: 'INFO', message: 'one', ...ALLOWED },
      { ...BASE, level: 'WARN', message: 'two' },
      { ...BASE, level: 'ERROR', message: 'three' },
    ]);
  });

  it('drops every other field, and what is of another type under an allowed name', async () => {
    const error = new Error(SECRET);
    const forbidden = {
      ...ALLOWED,
      plaintext: SECRET,
      key: Buffer.from(SECRET),
      event: { body: SECRET },
      error,
      err: error,
      record: [SECRET],
      message: SECRET,
      level: SECRET,
      service: SECRET,
      __proto__: { body: SECRET },
    };
    const wrongTypes = Object.fromEntries(
      Object.keys(ALLOWED).map((name, i) => [
        name,
        [error, { body: SECRET }, [SECRET], Buffer.from(SECRET)][i % 4],
      ]),
    );
    const inherited = Object.create({ tenant: SECRET });
    const { lines, parsed } = await logged((log) => {
      for (const level of ['info', 'warn', 'error'] as const) {
        log[level]('m', forbidden);
        log[level]('m', wrongTypes);
        log[level]('m', inherited);
        log[level]('m', { version: SECRET } as unknown as { version: number });
      }
    });
    expect(lines.join('')).not.toContain(SECRET);
    expect(lines.join('')).not.toContain(Buffer.from(SECRET).toString('base64'));
    expect(lines.join('')).not.toContain([...Buffer.from(SECRET)].join(','));
    expect(parsed).toHaveLength(12);
    for (const [i, line] of parsed.entries()) {
      const own = i % 4 === 0 ? ALLOWED : {};
      expect(line).toEqual({ ...BASE, level: expect.any(String), message: 'm', ...own });
    }
  });
});
