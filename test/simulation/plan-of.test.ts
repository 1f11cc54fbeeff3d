import { describe, expect, it } from 'vitest';
import { configSchema } from '../../shared/config/schema.ts';
import { APPROVER_SIGNERS, CONFIGURED_APPROVERS } from '../../simulation/actors/approvers.ts';
import { FAULT_PAIRS } from '../../simulation/draw-faults.ts';
import { FAULT_KINDS, type FaultKind } from '../../simulation/faults.ts';
import { planOf } from '../../simulation/plan-of.ts';

const HOUR = 3_600_000;

const plans = Array.from({ length: 2000 }, (_, seed) => planOf(seed));

describe('planOf', () => {
  it('says the same of a seed every time, and something else of another', () => {
    expect(planOf(7)).toEqual(planOf(7));
    expect(planOf(7)).not.toEqual({ ...planOf(27), seed: 7 });
    expect(() => planOf(-1)).toThrow(RangeError);
    expect(() => planOf(0.5)).toThrow(RangeError);
  });

  it('draws what the configuration’s schema takes, and times that fit into the simulation', () => {
    for (const { seed, config, quietAfter, endsAfter } of plans) {
      const { success, error, data } = configSchema.safeParse(config);
      expect(success, `seed ${seed}: ${error?.message}`).toBe(true);
      if (data === undefined) continue;
      const { graceSeconds, backupRetentionSeconds, soakSeconds } = data.rotation;
      expect(graceSeconds).toBeGreaterThanOrEqual(backupRetentionSeconds);
      expect(graceSeconds).toBeLessThanOrEqual(14 * 3600);
      expect((graceSeconds + soakSeconds) * 1000).toBeLessThan(quietAfter);
      expect(endsAfter - quietAfter).toBeGreaterThanOrEqual(4 * HOUR);
    }
  });

  it('numbers its actions in order of time, all of them before the faults stop', () => {
    for (const { actions, quietAfter } of plans) {
      expect(actions.map(({ number }) => number)).toEqual(actions.map((_, i) => i));
      const times = actions.map(({ after }) => after);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect(times.every((after) => after > 0 && after < quietAfter)).toBe(true);
    }
  });

  it('has something to do in every seed, and asks for a rotation in nearly each', () => {
    expect(plans.filter(({ actions }) => actions.length === 0)).toHaveLength(0);
    const rotating = plans.filter(({ actions }) => actions.some(({ name }) => name.startsWith('rotate')));
    expect(rotating.length / plans.length).toBeGreaterThan(0.85);
  });

  it('asks for approvals where a fault is about them', () => {
    const about = plans.filter(({ faults }) => faults.has('approval-raced') || faults.has('self-approval'));
    expect(about.length).toBeGreaterThan(20);
    for (const { config } of about) expect(configSchema.parse(config).approvals.required).toBeGreaterThan(0);
  });

  it('takes the action of a fault only where the fault is switched on, and then always', () => {
    const acted = new Set(plans.flatMap(({ actions }) => actions.map(({ name }) => name)));
    const kinds = FAULT_KINDS.filter((kind) => acted.has(kind));
    expect(kinds).toHaveLength(12);
    for (const { faults, actions } of plans) {
      for (const kind of kinds) expect(actions.some(({ name }) => name === kind)).toBe(faults.has(kind));
    }
  });
});

describe('The faults of 20,000 seeds in a row', () => {
  const FIRST = 1_000_003;
  const counts = new Map<number, number>();
  const kinds = new Map<FaultKind, number>();
  const pairs = new Map<string, number>();
  for (let seed = FIRST; seed < FIRST + 20_000; seed++) {
    const { faults } = planOf(seed);
    counts.set(faults.size, (counts.get(faults.size) ?? 0) + 1);
    for (const kind of faults) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const [a, b] = [...faults].sort();
    if (faults.size === 2) pairs.set(`${a} ${b}`, (pairs.get(`${a} ${b}`) ?? 0) + 1);
  }

  it('are none, one, a pair or a storm as often as they should be', () => {
    expect(counts.get(0)).toBe(3000);
    expect(counts.get(1)).toBe(7000);
    expect(counts.get(2)).toBe(8000);
  });

  it('have each kind often, and each pair at least five times', () => {
    for (const kind of FAULT_KINDS) expect(kinds.get(kind), kind).toBeGreaterThan(200);
    for (const pair of FAULT_PAIRS) {
      const name = [...pair].sort().join(' ');
      expect(pairs.get(name), name).toBeGreaterThanOrEqual(5);
    }
  });
});

describe('The approvers', () => {
  it('sign with the keys that the configuration pins', async () => {
    for (const [name, { publicKey }] of Object.entries(CONFIGURED_APPROVERS)) {
      expect(await APPROVER_SIGNERS[name]?.publicKey()).toMatchObject(publicKey);
    }
  });
});
