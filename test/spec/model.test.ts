import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { BOUNDS, CASES, MODELS } from '../../spec/cases.ts';
import { check, missingTool, readVerdict } from '../../spec/check.ts';

/** What is checked of the model, and what README says of it. The model itself is checked by `npm run model`. */

const text = (name: string) => readFile(new URL(`../../spec/${name}`, import.meta.url), 'utf8');

const missing = await missingTool();

describe('the flags', () => {
  it.each(MODELS)('of %s.pml are those that are checked', async (model) => {
    const source = await text(`${model}.pml`);
    const asked = [...source.matchAll(/#if(?:n?def)\s+(\w+)/g)].map(([, flag]) => flag ?? '');
    const cases = CASES.filter((one) => one.model === model);
    const bounded = cases.flatMap(({ bounds }) => bounds.map((bound) => bound.replace(/^-D|=.*/g, '')));
    const rules = cases.flatMap(({ flag }) => (flag === undefined ? [] : [flag]));
    const breaking = new Set(asked.filter((flag) => !BOUNDS.includes(flag)));
    expect([...breaking].sort()).toEqual([...new Set(rules)].sort());
    expect(new Set(asked)).toEqual(new Set([...asked, ...bounded, ...rules]));
    for (const bound of bounded) expect(BOUNDS).toContain(bound);
  });

  it('are none that no model asks for', async () => {
    const sources = (await Promise.all(MODELS.map((model) => text(`${model}.pml`)))).join('\n');
    for (const bound of BOUNDS) expect(sources, bound).toMatch(new RegExp(`#ifn?def ${bound}\\b`));
  });
});

describe('the cases', () => {
  it('have names of their own, and each model holds in one that is fast', () => {
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length);
    for (const model of MODELS) {
      const held = CASES.filter((one) => one.model === model && one.expected === 'holds' && !one.full);
      expect(held.length, model).toBeGreaterThan(0);
    }
  });

  it('stand in README, with their bounds', async () => {
    const readme = await text('README.md');
    for (const { name, bounds, flag } of CASES) {
      const row = readme.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
      expect(row, name).toBeDefined();
      if (flag === undefined) expect(row).toContain(`| ${bounds.map((bound) => `\`${bound}\``).join(' ')} |`);
    }
  });
});

describe('a verdict', () => {
  const full = 'State-vector 88 byte, depth reached 139, errors: 0\n  2388764 states, stored\n';

  it('is read from what Spin prints', () => {
    expect(readVerdict(full)).toMatchObject({ got: 'holds', states: 2_388_764, depth: 139 });
    const broken = `pan:1: assertion violated  !(unanswered) (at depth 63)\nWarning: Search not completed\n${full.replace('errors: 0', 'errors: 1')}`;
    expect(readVerdict(broken)).toMatchObject({ got: 'breaks', what: 'assertion violated  !(unanswered)' });
  });

  it.each([
    'error: max search depth too small',
    'pan: out of memory',
    'pan: reached -DMEMLIM bound',
    'Warning: Search not completed',
  ])('is none where the search was cut short: %s', (warning) => {
    expect(readVerdict(`${warning}\n${full}`).got).toBe('failed');
  });

  it('is none where a process is stuck, which shows no broken rule', () => {
    const stuck = full.replace('errors: 0', 'errors: 1');
    expect(readVerdict(`pan:1: invalid end state (at depth 9)\n${stuck}`).got).toBe('failed');
  });

  it('is none where nothing was searched', () => {
    expect(readVerdict('').got).toBe('failed');
  });
});

describe.skipIf(missing !== null)(
  missing === null ? 'Spin' : `Spin, skipped: ${missing} is not installed`,
  () => {
    it.each(['SELF_APPROVAL', 'BARRIER_WITHOUT_SKEW', 'barrier'])(
      'says of %s what is expected',
      async (name) => {
        const one = CASES.find((each) => each.name === name);
        if (one === undefined) throw new Error(`no case ${name}`);
        const { got, trace } = await check(one, true);
        expect(got).toBe(one.expected);
        if (one.expected === 'breaks') expect(trace).toContain('assertion violated');
      },
    );
  },
);
