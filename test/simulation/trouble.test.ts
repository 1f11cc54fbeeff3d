import { describe, expect, it } from 'vitest';
import { createS3Archive } from '../../shared/audit/s3-archive.ts';
import { createEventBridgeBus } from '../../shared/bus/eventbridge-bus.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import { createKmsSigner } from '../../shared/signing/kms-signer.ts';
import { archiveError, busError, signerError } from '../../simulation/adapter-errors.ts';
import { createDice } from '../../simulation/dice.ts';
import { createFaults, FAULT_KINDS, type FaultKind } from '../../simulation/faults.ts';
import type { Process, Trouble } from '../../simulation/process.ts';
import { createTrouble } from '../../simulation/trouble.ts';

/** What calls meet: the right errors at the right calls, and the same ones in each run of a seed. */

const process = { name: 'worker' } as Process;

const DAY = 24 * 3_600_000;

/** `every`: milliseconds between two looks at the time. Left out: whatever lasts is over by the next call. */
function troubleWith(kinds: readonly FaultKind[], seed = 1, every = DAY) {
  let time = 0;
  const now = () => {
    time += every;
    return time;
  };
  const faults = createFaults({ seed, kinds: new Set(kinds) }, createDice(seed, 'faults'), () => {});
  return { faults, trouble: createTrouble({ faults, dice: createDice(seed, 'latency'), now }) };
}

/** Everything that happens to so many calls of this label. */
function met(kind: FaultKind, label: string, calls = 3_000): readonly Trouble[] {
  const { trouble } = troubleWith([kind]);
  return Array.from({ length: calls }, () => trouble(process, label));
}

describe('an outage', () => {
  const longest = (kind: FaultKind, stopped: boolean) => {
    const { faults, trouble } = troubleWith([kind], 1, 1_000);
    const failed = Array.from({ length: 40_000 }, (_, i) => {
      if (stopped && i === 20_000) faults.stop();
      const { before, after } = trouble(process, 'provider.unwrapKek');
      return before !== undefined || after !== undefined ? 'x' : ' ';
    }).join('');
    return { failed, most: Math.max(...failed.split(' ').map(({ length }) => length)) };
  };

  it('follows some errors, and every call fails for hours', () => {
    expect(longest('kms-error', false).most).toBeGreaterThan(2_000);
    expect(longest('kms-error', false).failed).toContain(' ');
    expect(longest('kms-throttled', false).most).toBeLessThan(20);
  });

  it('ends when faults stop', () => {
    expect(longest('kms-error', true).failed.slice(20_000)).not.toContain('x');
  });
});

describe('an error', () => {
  it.each<[FaultKind, string, 'before' | 'after', string]>([
    ['ledger-throttled', 'ledger.getKey', 'before', 'LEDGER_UNAVAILABLE'],
    ['ledger-throttled', 'ledger.replaceKey', 'before', 'LEDGER_UNAVAILABLE'],
    ['ledger-reply-lost', 'ledger.replaceKey', 'after', 'LEDGER_UNAVAILABLE'],
    ['ledger-reply-lost', 'ledger.createAuditEntry', 'after', 'LEDGER_UNAVAILABLE'],
    ['ledger-reply-lost', 'ledger.reportChunks', 'after', 'LEDGER_UNAVAILABLE'],
    ['store-unavailable', 'store.listStale', 'before', 'STORE_UNAVAILABLE'],
    ['store-throttled', 'store.read', 'before', 'STORE_THROTTLED'],
    ['serialization-failure', 'store.replaceFrames', 'before', 'STORE_BUSY'],
    ['store-reply-lost', 'store.replace', 'after', 'STORE_UNAVAILABLE'],
    ['store-reply-lost', 'store.setMinimum', 'after', 'STORE_UNAVAILABLE'],
    ['store-unavailable', 'fence.check', 'before', 'STORE_UNAVAILABLE'],
    ['store-unavailable', 'search.search', 'before', 'STORE_UNAVAILABLE'],
    ['kms-throttled', 'provider.unwrapKek', 'before', 'PROVIDER_THROTTLED'],
    ['kms-error', 'provider.unwrapKek', 'before', 'PROVIDER_UNAVAILABLE'],
    ['kms-error', 'provider.generateKek', 'after', 'PROVIDER_UNAVAILABLE'],
    ['kms-error', 'signer.sign', 'before', 'SIGNING_UNAVAILABLE'],
    ['kms-throttled', 'signer.sign', 'before', 'SIGNING_UNAVAILABLE'],
    ['store-unavailable', 'archive.get', 'before', 'AUDIT_UNAVAILABLE'],
    ['store-reply-lost', 'archive.put', 'after', 'AUDIT_UNAVAILABLE'],
    ['event-lost', 'bus.publish', 'before', 'BUS_UNAVAILABLE'],
  ])('%s comes to %s %s its effect, as %s, and may be tried again', (kind, label, when, code) => {
    const errors = met(kind, label).flatMap((trouble) => trouble[when] ?? []);
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) {
      expect(error).toBeInstanceOf(KeyturnError);
      expect(error).toMatchObject({ code, retryable: true });
    }
  });

  it.each<[FaultKind, string]>([
    ['ledger-reply-lost', 'ledger.getKey'],
    ['ledger-reply-lost', 'ledger.listJobs'],
    ['serialization-failure', 'store.listStale'],
    ['store-reply-lost', 'store.census'],
    ['store-unavailable', 'ledger.getKey'],
    ['kms-error', 'store.read'],
    ['ledger-throttled', 'queue.send'],
    ['ledger-throttled', 'executions.start'],
  ])('%s never comes to %s', (kind, label) => {
    expect(met(kind, label).filter(({ before, after }) => before ?? after)).toEqual([]);
  });

  it('is one a call at most, however many kinds are switched on', () => {
    const { trouble } = troubleWith(FAULT_KINDS);
    const calls = Array.from({ length: 3_000 }, () => trouble(process, 'store.replace'));
    expect(calls.filter(({ before, after }) => before && after)).toEqual([]);
    expect(calls.some(({ before, after }) => before ?? after)).toBe(true);
  });

  it('comes no more once faults have stopped', () => {
    const { trouble, faults } = troubleWith(FAULT_KINDS);
    faults.stop();
    const calls = Array.from({ length: 1_000 }, () => trouble(process, 'store.replace'));
    expect(calls.filter(({ before, after }) => before ?? after)).toEqual([]);
  });
});

/** Those whose adapters keep their translation to themselves: what these throw when AWS answers so. */
describe('an error that is written out here', () => {
  const failing = (name: string) =>
    ({ send: () => Promise.reject(Object.assign(new Error('simulated'), { name })) }) as never;
  const event = { detailType: 'x', detail: {} } as never;
  const adapters = {
    bus: (name: string) => createEventBridgeBus(failing(name), 'bus').publish([event]),
    archive: (name: string) =>
      createS3Archive({ client: failing(name), bucket: 'simulated', prefix: '' }).get('a'),
    signer: (name: string) => createKmsSigner({ client: failing(name), keyArn: 'simulated' }).sign('t', {}),
  };
  const ours = { bus: busError, archive: archiveError, signer: signerError };
  it.each([
    ['bus', 'InternalFailure'],
    ['archive', 'ServiceUnavailable'],
    ['archive', 'SlowDown'],
    ['archive', 'TimeoutError'],
    ['signer', 'ThrottlingException'],
    ['signer', 'KMSInternalException'],
    ['signer', 'TimeoutError'],
  ] as const)('is that of the real %s: %s', async (port, name) => {
    const { name: type, code, retryable, remedy } = ours[port](name);
    await expect(adapters[port](name)).rejects.toMatchObject({ name: type, code, retryable, remedy });
  });
});

describe('a call', () => {
  it('takes milliseconds, seldom seconds, and no longer than half a minute', () => {
    const { trouble } = troubleWith([]);
    const times = Array.from({ length: 40_000 }, () => trouble(process, 'ledger.getKey').there);
    const share = (from: number, to: number) =>
      times.filter((time) => time > from && time <= to).length / times.length;
    expect(share(0, 20)).toBeGreaterThan(0.98);
    expect(share(20, 2_000)).toBeGreaterThan(0.001);
    expect(share(2_000, 30_000)).toBeGreaterThan(0);
    expect(Math.min(...times)).toBeGreaterThan(0);
    expect(Math.max(...times)).toBeLessThanOrEqual(30_000);
  });

  it('of KMS takes seconds where the fault fires', () => {
    const slow = met('kms-latency', 'provider.unwrapKek').filter(({ back }) => back > 1_000).length / 3_000;
    expect(slow).toBeGreaterThan(0.05);
    expect(met('kms-latency', 'ledger.getKey').filter(({ back }) => back > 2_000).length).toBeLessThan(10);
  });

  it('meets the same in each run of a seed, and something else in another', () => {
    const run = (seed: number) => {
      const { trouble } = troubleWith(FAULT_KINDS, seed);
      const labels = ['ledger.replaceKey', 'store.replace', 'provider.unwrapKek', 'signer.sign'];
      return Array.from({ length: 400 }, (_, i) => {
        const { there, back, before, after } = trouble(process, labels[i % labels.length] ?? '');
        return [there, back, before?.message, after?.message];
      });
    };
    expect(run(7)).toEqual(run(7));
    expect(run(7)).not.toEqual(run(8));
  });
});
