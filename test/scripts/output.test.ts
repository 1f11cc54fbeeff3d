import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { duration, table } from '../../scripts/cli/format.ts';
import { printable } from '../../scripts/cli/output.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { fill, prepareWorlds, type World } from '../support/memory-world.ts';
import { capture, runOn } from './capture.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

beforeEach(() => {
  vi.stubEnv('FORCE_COLOR', undefined);
  vi.stubEnv('NO_COLOR', undefined);
});
afterEach(() => vi.unstubAllEnvs());

async function world(): Promise<World> {
  const made = await worlds.makeWorld(createMemoryLedger());
  await fill(made, 4);
  return made;
}

describe('output that is no terminal', () => {
  it.each([
    ['status'],
    ['keys list'],
    ['keys show --tenant acme'],
    ['keys create --tenant acme --purpose spare'],
    ['census --tenant acme'],
    ['quarantine list'],
    ['rotate --tenant acme --no-wait'],
    ['exit-codes'],
  ])('has no escape codes: %s', async (line) => {
    const { deps } = await world();
    const plain = await runOn(deps, line.split(' '));
    expect(plain.code).toBe(0);
    expect(plain.stdout.length).toBeGreaterThan(0);
    expect(plain.stdout + plain.stderr).not.toMatch(/[^\P{Cc}\n]/u);
    const json = await runOn((await world()).deps, [...line.split(' '), '--json']);
    expect(json.stdout).toMatch(/^[^\n]+\n$/);
    expect(() => JSON.parse(json.stdout)).not.toThrow();
  });

  it('is not asked, not animated and 80 wide', () => {
    const { out } = capture();
    expect([out.animated, out.canAsk, out.columns()]).toEqual([false, false, 80]);
    expect(out.paint('red', 'text')).toBe('text');
    out.clear();
  });

  it('gives text or JSON, never both', () => {
    const text = capture();
    text.out.line('line');
    text.out.result({ a: 1 });
    text.out.progress('moving');
    expect(text.text()).toEqual({ stdout: 'line\n', stderr: 'moving\n' });
    const json = capture(true);
    json.out.line('line');
    json.out.result({ a: 1 });
    json.out.progress('moving');
    json.out.warn('careful');
    expect(json.text()).toEqual({ stdout: '{"a":1}\n', stderr: 'warning: careful\n' });
  });
});

describe('text for a terminal', () => {
  it('keeps colours and shows other control characters', () => {
    expect(printable('a\u001b[31mred\u001b[39m\tb')).toBe('a\u001b[31mred\u001b[39m\tb');
    expect(printable('a\u001b]0;title\u0007\r\u001b[2Jb')).not.toMatch(/\p{Cc}/u);
  });

  it.each(['\n', '\r\n', '\u0085', '\u2028', '\u2029', '\u202e', '\u2066'])(
    'lets no name begin a line of its own, or turn one: %j',
    (character) => {
      const { out, text } = capture();
      out.line(`rotate evil${character}Version 9 of acme is destroyed`);
      expect(text().stdout).toMatch(/^rotate evil\ufffd+Version 9 of acme is destroyed\n$/);
    },
  );

  it('aligns a table by what is seen of its cells', () => {
    expect(
      table(
        ['name', '>count'],
        [
          ['\u001b[31ma\u001b[39m', '1'],
          ['long', '10'],
        ],
      ),
    ).toEqual(['name  count', '\u001b[31ma\u001b[39m         1', 'long     10']);
  });

  it.each([
    [0, '0 s'],
    [-1, '0 s'],
    [0.44, '0.4 s'],
    [12.4, '12 s'],
    [67, '1 min 7 s'],
    [7500, '2 h 5 min'],
    [3_024_000, '35 d'],
    [86_405, '1 d 5 s'],
  ])('says %d seconds as %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });
});
