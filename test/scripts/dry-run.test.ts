import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Deps } from '../../shared/deps/deps.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { deliver, runRotation } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, snapshot, type World } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

let world: World;
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 6);
});

/** Calls that read and nothing else. */
const READS =
  /^(ledger\.(get|list|find|read)\w*|provider\.(inspectRootKey|check)|store\.(segments|census)|search\.(parts|search)|audit\.(list|last|get|read)\w*)$/;

const DRY = ['rotate', '--tenant', 'acme', '--dry-run'];

describe('keyturn rotate --dry-run', () => {
  it('changes nothing: everything that it calls reads', async () => {
    const before = await snapshot(world);
    const calls: string[] = [];
    world.faults.before = (call) => {
      calls.push(call);
    };
    const ended = await runOn(watched(world.deps, calls), DRY);
    world.faults.before = () => {};
    expect(ended.code).toBe(0);
    expect(calls.length).toBeGreaterThan(10);
    expect(calls.filter((call) => !READS.test(call))).toEqual([]);
    expect(await snapshot(world)).toEqual(before);
    expect(await world.ledger.listStoredCensuses((await world.key()).keyId, 1)).toEqual([]);
    expect([world.queue, world.published, [...world.executions.keys()]]).toEqual([[], [], []]);
  });

  it('says what it would do, ask for, cost and take', async () => {
    const { stdout } = await runOn(world.deps, DRY);
    for (const text of [
      'Dry run: nothing was changed.',
      'version 1 -> 2: 18 values in at most 9 records rewrapped, in',
      'SendMessageBatch',
      'by public prices of us-east-1 in 2026-11',
      'https://aws.amazon.com/sqs/pricing/',
      'rate: not measured yet, no rotation has completed',
      'propagation barrier: 7 min from the activation',
      'in all: not known',
      'then 35 d of grace',
      'none is known now',
    ]) {
      expect(stdout).toContain(text);
    }
    const json = JSON.parse((await runOn(world.deps, [...DRY, '--json'])).stdout);
    expect(json).toMatchObject({
      ...{ tenant: 'acme', from: 1, to: 2, records: 9, values: 18, unreadable: 0, obstacles: [] },
      requests: { chunks: 6, sqs: { messages: 6 }, kms: { generate: 1 } },
      time: { rate: null, sweepSeconds: null, seconds: null, barrierSeconds: 420 },
      census: { reach: 'tenant', coverage: { people: { versions: { 1: 12 } } } },
    });
    expect(json.price.dollars).toBeGreaterThan(0);
    expect(json.prices.every(({ source }: { source: string }) => source.startsWith('https://'))).toBe(true);
  });

  it('takes the rate of the last rotation that worked, and the limit into account', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    // Each look of the poller, a second.
    await runRotation(world, job.jobId, undefined, async (on) => {
      on.pass(1);
      await deliver(on);
    });
    const json = JSON.parse((await runOn(world.deps, [...DRY, '--json'])).stdout);
    expect(json.time.rate).toMatchObject({ jobId: job.jobId, sameKey: true, records: 9 });
    const { perSecond, seconds } = json.time.rate;
    expect(perSecond).toBeCloseTo(9 / seconds);
    expect(json.time.sweepSeconds).toBeCloseTo(9 / perSecond);
    const limited = await runOn(world.deps, [...DRY, '--records-per-second', '1', '--json']);
    const { time } = JSON.parse(limited.stdout);
    expect(time.sweepSeconds).toBeGreaterThanOrEqual(9);
    expect(time.limit).toBe(1);
    const text = await runOn(world.deps, [...DRY, '--records-per-second', '1']);
    expect(text.stdout).toContain(`measured from rotation ${job.jobId}: `);
    expect(text.stdout).toContain('limited to 1 records/s: at least 9 s');
    expect(text.stdout).toMatch(/about, with (1 look|\d+ looks) while it waits/);
  });

  it('names what would block the rotation, and what the purge after it', async () => {
    await requestRotation(world.deps, KEY);
    world.elsewhere.found = {
      found: [
        {
          ...{ table: 'public.old', column: 'x', materialized: false },
          ...{ envelopes: 2, ofKey: 1, onVersion: 1 },
        },
      ],
      unsearched: [],
    };
    const served = { store: 'main', table: 'moved', columns: ['card'] };
    await world.changeKey((key) => ({ ...key, serves: [...key.serves, served], revision: key.revision + 1 }));
    world.people.rows.set('["99"]', {
      key: ['99'],
      tenant: 'acme',
      values: [Buffer.from('x'), null],
      plaintext: [],
    });
    const ended = await runOn(world.deps, DRY);
    expect(ended.code).toBe(4);
    const json = JSON.parse((await runOn(world.deps, [...DRY, '--json'])).stdout);
    expect(json.obstacles.map(({ blocks, code }: Record<string, string>) => `${blocks} ${code}`)).toEqual([
      'rotation RUNNING',
      'purge UNREADABLE',
      'rotation SERVED_UNREAD',
      'purge UNDECLARED_ENVELOPES',
    ]);
    expect(ended.stdout).toContain(
      'Store main: envelopes of the key stand where no record set looks: public.old.x',
    );
  });

  it('says of every key what it would cost in all', async () => {
    await runOn(world.deps, ['keys', 'create', '--tenant', 'other']);
    const ended = await runOn(world.deps, ['rotate', '--all', '--dry-run']);
    expect(ended.stdout).toMatch(/2 keys: about \$[\d.]+ in all\./);
    const json = JSON.parse((await runOn(world.deps, ['rotate', '--all', '--dry-run', '--json'])).stdout);
    expect(json.dryRuns.map(({ tenant }: { tenant: string }) => tenant)).toEqual(['acme', 'other']);
  });
});

/** What the world's faults do not see: the queue, executions, the bus and the audit must not be called at all. */
function watched(deps: Deps, calls: string[]): Deps {
  const watch = <Port extends object>(name: string, port: Port): Port =>
    new Proxy(port, {
      get(of, property) {
        const value: unknown = Reflect.get(of, property);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) => {
          calls.push(`${name}.${String(property)}`);
          return Reflect.apply(value, of, args);
        };
      },
    });
  return {
    ...deps,
    audit: watch('audit', deps.audit),
    keyring: watch('keyring', deps.keyring),
    queue: watch('queue', deps.queue),
    executions: watch('executions', deps.executions),
    bus: watch('bus', deps.bus),
  };
}
