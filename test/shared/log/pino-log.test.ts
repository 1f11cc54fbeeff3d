import { describe, expect, it } from 'vitest';
import { createPinoLog } from '../../../shared/log/pino-log.ts';

function capture(level?: 'info' | 'warn' | 'error') {
  const lines: string[] = [];
  const log = createPinoLog({ write: (line: string) => lines.push(line) }, level);
  return { log, lines, parsed: () => lines.map((line): unknown => JSON.parse(line)) };
}

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
};

describe('the log', () => {
  it('writes JSON lines with time, message and the allowed fields', () => {
    const { log, parsed, lines } = capture();
    log.warn('something', ALLOWED);
    expect(parsed()).toEqual([
      { level: 40, time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), msg: 'something', ...ALLOWED },
    ]);
    expect(lines[0]?.endsWith('\n')).toBe(true);
  });

  it('drops every other field, also where the types were bypassed', () => {
    const { log, lines, parsed } = capture();
    const forbidden = {
      ...ALLOWED,
      plaintext: 'SECRET',
      key: Buffer.from('SECRET'),
      event: { body: 'SECRET' },
      err: new Error('SECRET'),
      record: ['SECRET'],
      __proto__: { body: 'SECRET' },
    };
    log.info('m', forbidden);
    log.error('m', { ...forbidden, tenant: 'acme' });
    expect(lines.join('')).not.toContain('SECRET');
    for (const line of parsed())
      expect(Object.keys(line ?? {}).sort()).toEqual(
        [...Object.keys(ALLOWED), 'level', 'msg', 'time'].sort(),
      );
  });

  it('drops what is of another type under an allowed name', () => {
    const { log, parsed } = capture();
    const wrong = {
      tenant: { body: 'SECRET' },
      code: new Error('SECRET'),
      version: 'SECRET',
      step: ['SECRET'],
    };
    log.info('m', wrong as unknown as typeof ALLOWED);
    expect(parsed()).toEqual([{ level: 30, time: expect.any(String), msg: 'm' }]);
  });

  it('leaves out what is undefined, and what is below its level', () => {
    const { log, parsed } = capture('warn');
    log.info('quiet');
    log.warn('loud', {});
    log.error('louder');
    expect(parsed()).toEqual([
      { level: 40, time: expect.any(String), msg: 'loud' },
      { level: 50, time: expect.any(String), msg: 'louder' },
    ]);
  });
});
