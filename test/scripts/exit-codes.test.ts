import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { CliError } from '../../scripts/cli/cli-error.ts';
import { ERRORS, EXIT_CODES, exitCodeOf } from '../../scripts/cli/exit-codes.ts';
import { reportFailure } from '../../scripts/cli/failures.ts';
import { ConfigError, KeyError, KeyturnError, LedgerError } from '../../shared/errors/errors.ts';
import { capture } from './capture.ts';

class AnyError extends KeyturnError {
  readonly code: string;
  constructor(code: string) {
    super('It failed');
    this.code = code;
  }
}

async function codesIn(path: string): Promise<string[]> {
  const text = await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
  return [...text.matchAll(/^ {2}\| '([A-Z_]+)'|(?:CODE|Code) =.*$/gm)].flatMap(([line]) =>
    [...line.matchAll(/'([A-Z_]+)'/g)].map(([, code = '']) => code),
  );
}

describe('the table of exit codes', () => {
  it('has every code that the sources declare, and no other', async () => {
    const declared = [
      ...(await codesIn('shared/errors/errors.ts')),
      ...(await codesIn('scripts/cli/cli-error.ts')),
    ];
    expect(declared.length).toBeGreaterThan(60);
    expect(Object.keys(ERRORS).sort()).toEqual([...new Set(declared)].sort());
  });

  it.each(Object.entries(ERRORS))('ends %s with its code', (code, { exit, meaning }) => {
    expect(exitCodeOf(new AnyError(code))).toBe(EXIT_CODES[exit].code);
    expect(meaning).toMatch(/\.$/);
    // Success is never an error's.
    expect(EXIT_CODES[exit].code).not.toBe(0);
  });

  it('ends what nobody foresaw with 1', () => {
    for (const error of [
      new Error('x'),
      new AnyError('NEVER_HEARD_OF'),
      new AnyError('constructor'),
      'x',
      null,
    ])
      expect(exitCodeOf(error)).toBe(1);
  });

  it('has stable numbers, each once', () => {
    expect(Object.values(EXIT_CODES).map(({ code }) => code)).toEqual([0, 1, 2, 3, 4, 5, 130]);
  });
});

describe('an error', () => {
  const fail = (error: unknown, json: boolean) => {
    const captured = capture(json);
    return { code: reportFailure(error, { json, ...captured }), ...captured.text() };
  };
  const notFound = new KeyError('KEY_NOT_FOUND', 'Tenant "acme" has no key', { remedy: 'Make one.' });

  it('is a line with its code and a line with its remedy', () => {
    expect(fail(notFound, false)).toEqual({
      code: 3,
      stdout: '',
      stderr: 'keyturn: KEY_NOT_FOUND: Tenant "acme" has no key\n  Make one.\n',
    });
    expect(fail(new LedgerError('LEDGER_UNAVAILABLE', 'It is gone'), false)).toEqual({
      code: 5,
      stdout: '',
      stderr: 'keyturn: LEDGER_UNAVAILABLE: It is gone\n',
    });
  });

  it('with --json is one line on standard output besides', () => {
    const shown = fail(notFound, true);
    expect(shown.stdout).toBe(
      '{"error":{"code":"KEY_NOT_FOUND","message":"Tenant \\"acme\\" has no key","remedy":"Make one."}}\n',
    );
    expect(shown.stderr).toContain('KEY_NOT_FOUND');
    expect(JSON.parse(fail(new LedgerError('LEDGER_UNAVAILABLE', 'gone'), true).stdout)).toEqual({
      error: { code: 'LEDGER_UNAVAILABLE', message: 'gone', remedy: null },
    });
  });

  it('of several lines stays one line of JSON', () => {
    const { stdout } = fail(new ConfigError('CONFIG_INVALID', 'bad:\n  a: x\n  b: y'), true);
    expect(stdout.trimEnd()).not.toContain('\n');
  });

  it('that nobody foresaw says so', () => {
    expect(fail(new TypeError('boom'), false)).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'keyturn: UNEXPECTED: TypeError: boom\n  Set DEBUG=keyturn to see where it comes from, and please report it.\n',
    });
  });

  it('cannot move the cursor of a terminal', () => {
    const { stderr } = fail(new CliError('USAGE', 'unknown \u001b[2J\u0007 command'), false);
    expect(stderr).not.toMatch(/[^\P{Cc}\n]/u);
    expect(stderr).toContain('USAGE');
  });
});
