import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** What every program of the project says of wrong usage: exit code 2, and a line of what is wrong. */

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

interface Ran {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...argv: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { cwd: PROJECT }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

describe('wrong usage', () => {
  it.each([
    [
      'an option that bench does not have',
      ['scripts/bench/main.ts', '--nosuch'],
      "unknown option '--nosuch'",
    ],
    ['a part that bench does not have', ['scripts/bench/main.ts', '--only', 'x'], 'there is no part "x"'],
    ['an option of check:asl', ['scripts/check-state-machines.ts', '--nosuch'], "unknown option '--nosuch'"],
    [
      'an action that the seed does not have',
      ['simulation/main.ts', '--seed', '7', '--actions', '0,100000'],
      'error: --actions: the plan of seed 7 has no action 100000',
    ],
    [
      'a file where a folder is to be',
      ['scripts/keyturn.ts', 'demo', '--keep', 'package.json'],
      'INPUT_INVALID: --keep: package.json is a file, or in one, and no folder',
    ],
    [
      'a folder in a file',
      ['scripts/keyturn.ts', 'demo', '--keep', 'package.json/demo'],
      'INPUT_INVALID: --keep: package.json/demo is a file, or in one, and no folder',
    ],
  ])('ends with 2 and says so: %s', async (_, argv, message) => {
    const { code, stdout, stderr } = await run(...argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});

it('check:asl --help helps, and checks nothing', async () => {
  const { code, stdout } = await run('scripts/check-state-machines.ts', '--help');
  expect(code).toBe(0);
  expect(stdout).toContain('Usage: check:asl');
  expect(stdout).not.toContain('functions: valid');
});
