import { describe, expect, it } from 'vitest';
import type { RootKeyProvider } from '../../shared/providers/root-key-provider.ts';
import { kmsError } from '../../simulation/adapter-errors.ts';
import { createDice } from '../../simulation/dice.ts';
import { createFaults } from '../../simulation/faults.ts';
import { createTestRootKeys, versionsThatFail } from '../../simulation/models/root-keys.ts';
import { describeRootKeyStates } from '../contracts/root-key-states.ts';

const KEY_ID = '01900000-0000-7000-8000-000000000001';
const CONTEXT = { tenant: 'acme', purpose: 'default', keyId: KEY_ID, version: 1 };
const HOUR = 3_600_000;

describeRootKeyStates('root keys in memory', async () => {
  const roots = createTestRootKeys();
  const [[rootKeyId, key] = ['', undefined]] = [...roots.keys];
  if (key === undefined) throw new Error('no root key');
  return {
    provider: roots.provider,
    disable: async () => roots.set(rootKeyId, 'DISABLED'),
    enable: async () => roots.set(rootKeyId, 'ENABLED'),
    scheduleDeletion: async () => {
      roots.set(rootKeyId, 'PENDING_DELETION');
      key.deletionAt = '2026-02-01T00:00:00.000Z';
    },
    cancelDeletion: async () => {
      roots.set(rootKeyId, 'ENABLED');
      key.deletionAt = null;
    },
    denied: during(roots.provider, async (call) => {
      roots.denied.add(rootKeyId);
      try {
        return await call();
      } finally {
        roots.denied.delete(rootKeyId);
      }
    }),
    throttled: during(roots.provider, async () => {
      throw kmsError('ThrottlingException', 'Decrypt', rootKeyId);
    }),
  };
});

/** The same provider, each of whose calls is made by `how`. */
function during(provider: RootKeyProvider, how: (call: () => unknown) => Promise<unknown>): RootKeyProvider {
  return new Proxy(provider, {
    get: (of, property) => {
      const method: unknown = Reflect.get(of, property);
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => how(() => Reflect.apply(method, of, args) as unknown);
    },
  });
}

describe('a root key in memory', () => {
  it.each([
    ['DISABLED', 'ROOT_KEY_DISABLED', false],
    ['PENDING_DELETION', 'ROOT_KEY_PENDING_DELETION', false],
    ['PENDING_IMPORT', 'ROOT_KEY_PENDING_IMPORT', false],
    ['UNAVAILABLE', 'PROVIDER_UNAVAILABLE', true],
    ['NOT_FOUND', 'ROOT_KEY_NOT_FOUND', false],
  ] as const)('that is %s refuses as AWS KMS does: %s', async (state, code, retryable) => {
    const roots = createTestRootKeys();
    const wrapped = await roots.provider.generateKek(CONTEXT);
    roots.set(wrapped.rootKeyId, state);
    await expect(roots.provider.unwrapKek(wrapped, CONTEXT)).rejects.toMatchObject({ code, retryable });
    await expect(roots.provider.inspectRootKey(wrapped.rootKeyId)).resolves.toMatchObject({ state });
  });

  it('gives the same bytes in each run of a seed', async () => {
    const run = async () => {
      const { provider } = createTestRootKeys({ random: createDice(3, 'keys').fill });
      const wrapped = await provider.generateKek(CONTEXT);
      return [wrapped, await provider.rewrapKek(wrapped, CONTEXT), provider.rootKeyFor('acme')];
    };
    expect(await run()).toEqual(await run());
  });
});

describe('one version that fails', () => {
  /** Hours in which the version could not be unwrapped, of 48. */
  async function hoursOf(seed: number, quietAfter = 48) {
    let hour = 0;
    const kinds = new Set(['kms-one-version-fails'] as const);
    const faults = createFaults({ seed, kinds }, createDice(seed, 'faults'), () => {});
    const { provider } = createTestRootKeys({ fails: versionsThatFail(faults, () => hour * HOUR) });
    const wrapped = await provider.generateKek(CONTEXT);
    const hours: number[] = [];
    for (; hour < 48; hour++) {
      if (hour === quietAfter) faults.stop();
      const error: unknown = await provider.unwrapKek(wrapped, CONTEXT).then(
        () => null,
        (thrown: unknown) => thrown,
      );
      if (error === null) continue;
      expect(error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryable: true });
      hours.push(hour);
    }
    return hours;
  }

  it('does so for a while, as if KMS had failed, and unwraps again; some never do', async () => {
    const all = await Promise.all(Array.from({ length: 60 }, (_, seed) => hoursOf(seed)));
    const failing = all.filter(({ length }) => length > 0);
    expect(failing.length).toBeGreaterThan(5);
    expect(failing.length).toBeLessThan(40);
    for (const hours of failing) {
      expect(hours.length).toBeLessThanOrEqual(7);
      expect((hours.at(-1) ?? 0) - (hours[0] ?? 0)).toBe(hours.length - 1);
    }
    expect(new Set(failing.map(([first]) => first)).size).toBeGreaterThan(3);
  });

  it('unwraps once faults have stopped', async () => {
    const all = await Promise.all(Array.from({ length: 60 }, (_, seed) => hoursOf(seed, 1)));
    expect(all.flat().every((hour) => hour === 0)).toBe(true);
    expect(all.flat().length).toBeGreaterThan(0);
  });
});
