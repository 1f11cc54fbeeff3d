import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseOptions } from '../../simulation/run/options.ts';
import { shrinkSeed } from '../../simulation/run/seed-result.ts';
import { ALL, replayCommand, selectPlan, unknownActions } from '../../simulation/run/selection.ts';
import { reduce, shrink } from '../../simulation/run/shrink.ts';
import { FAKE } from './run/fake-simulator.ts';

const { planOf, simulate } = FAKE;
const never = () => false;

test('what is not needed for the violation is left out: actions, kinds, single firings', async () => {
  const { selection } = await shrink({ plan: planOf(13), rule: '10', simulate, isOver: never });
  expect(selection).toEqual({
    actions: [3],
    faults: ['store-reply-lost'],
    only: new Map([['store-reply-lost', [1]]]),
  });
  const outcome = await simulate(selectPlan(planOf(13), selection));
  expect(outcome.violations).toMatchObject([{ rule: '10' }]);
});

test('a violation of another rule is not the same one', async () => {
  const { selection, runs } = await shrink({ plan: planOf(13), rule: '11', simulate, isOver: never });
  expect(selection).toEqual(ALL);
  expect(runs).toBe(1);
});

test('when the time is over, what is left so far is what there is', async () => {
  const isOver = () => true;
  const { selection } = await shrink({ plan: planOf(13), rule: '10', simulate, isOver });
  const outcome = await simulate(selectPlan(planOf(13), selection));
  expect(outcome.violations).toMatchObject([{ rule: '10' }]);
});

test('the report has the invariant, the trace, the history, and the command that does it again', async () => {
  const violation = { rule: '10', what: 'a write is lost', step: 50, seq: 1 };
  const { report, command } = await shrinkSeed(FAKE, 13, violation, 10_000);
  expect(command).toBe(
    'npm run simulate -- --seed 13 --actions 3 --faults store-reply-lost --only store-reply-lost:1',
  );
  const text = report.join('\n');
  expect(text).toContain('Seed 13 violates invariant 10 at step 50 of 100:\n  a write is lost');
  expect(text).toContain('action 3');
  expect(text).toMatch(/> +1 {2}01-01T00:00:00.005 {2}end/);
  expect(text).toContain(command);
});

test('the command reads back as the selection that it was made of', async () => {
  const { selection } = await shrink({ plan: planOf(13), rule: '10', simulate, isOver: never });
  for (const one of [selection, { actions: [], faults: [], only: new Map() }, ALL]) {
    const argv = replayCommand(13, one).split(' ').slice(4);
    expect(parseOptions(argv)).toEqual({ does: 'replay', seed: 13, selection: one, json: false });
  }
});

test('reducing leaves the smallest part of which no single one can be spared', async () => {
  const parts = fc.uniqueArray(fc.nat(50), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(parts, fc.array(fc.nat(50), { maxLength: 4 }), async (all, wanted) => {
      const needed = wanted.filter((one) => all.includes(one));
      const holds = async (some: readonly number[]) => needed.every((one) => some.includes(one));
      const left = await reduce(all, holds, never);
      expect(left).toEqual(all.filter((one) => needed.includes(one)));
    }),
  );
});

test('actions that a plan does not have are named', () => {
  const plan = planOf(13);
  const known = plan.actions.map(({ number }) => number);
  expect(unknownActions(plan, ALL)).toEqual([]);
  expect(unknownActions(plan, { ...ALL, actions: known })).toEqual([]);
  expect(unknownActions(plan, { ...ALL, actions: [...known, 100_000] })).toEqual([100_000]);
});
