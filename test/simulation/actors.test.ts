import { describe, expect, it } from 'vitest';
import { configSchema } from '../../shared/config/schema.ts';
import { createKek, inspect, open, seal } from '../../shared/envelope/index.ts';
import { EnvelopeError, RotationError } from '../../shared/errors/errors.ts';
import { ACTIONS } from '../../simulation/actors/actions.ts';
import { pauseBetween, startApplication } from '../../simulation/actors/application.ts';
import { CHANGES, damage, swap } from '../../simulation/actors/damage.ts';
import { AGAIN, command, nth } from '../../simulation/actors/person.ts';
import { putRow, removeRow, rowOf } from '../../simulation/actors/rows.ts';
import { createDice } from '../../simulation/dice.ts';
import { createFaults, FAULT_KINDS, type FaultKind } from '../../simulation/faults.ts';
import type { HappenedEvent } from '../../simulation/history.ts';
import { createMemoryRecordStore } from '../../simulation/models/record-store.ts';
import { planOf } from '../../simulation/plan-of.ts';
import { createProcess, type Process } from '../../simulation/process.ts';
import { createScheduler } from '../../simulation/scheduler.ts';
import { settled } from '../../simulation/settled.ts';
import type { World } from '../../simulation/world.ts';

const KEK = createKek({
  keyId: '01900000-0000-7000-8000-000000000001',
  version: 3,
  key: Buffer.alloc(32, 7),
});
const HOUR = 3_600_000;

/** As much of a world as these actors use: no calls take time, and nothing fails. */
function makeWorld(kinds: readonly FaultKind[] = FAULT_KINDS) {
  const scheduler = createScheduler(0, settled);
  const history: HappenedEvent[] = [];
  const plan = planOf(0);
  const faults = createFaults({ seed: 0, kinds: new Set(kinds) }, createDice(0, 'faults'), () => {});
  const people = createMemoryRecordStore('people', ['email', 'phone']);
  const started: string[] = [];
  const world: Partial<World> = {
    plan,
    config: configSchema.parse(plan.config),
    scheduler,
    faults,
    history: { entries: [], add: (event) => history.push(event) },
    stores: { people },
    start(kind, name, main) {
      started.push(name);
      const process = createProcess(
        {
          scheduler,
          faults,
          trouble: () => ({ there: 1, back: 1 }),
          trace: () => {},
          acting: { by: '' },
          members: new Map(),
        },
        name,
        kind,
        { now: scheduler.now },
      );
      // These actors reach nothing through them.
      void main(process, {} as Parameters<typeof main>[1] & object);
      return process;
    },
  };
  return { world: world as World, people, history, started, scheduler };
}

function fillRow(world: World, number: number): void {
  const id = [String(number)];
  const plaintexts = ['email', 'phone'].map((field) => Buffer.from(`${field} of ${number}`));
  const values = plaintexts.map((plaintext, i) =>
    seal(plaintext, KEK, { ...CONTEXT, recordId: id, field: ['email', 'phone'][i] ?? '' }),
  );
  putRow(world, 'people', 'application', { id, tenant: 'acme', values, plaintexts });
}

const CONTEXT = { tenant: 'acme', recordSet: 'people', recordId: ['1'], field: 'email' };

describe('ACTIONS', () => {
  it('has all that plans name', () => {
    const names = new Set<string>();
    for (let seed = 0; seed < 3000; seed++) for (const { name } of planOf(seed).actions) names.add(name);
    for (const name of names) expect(Object.keys(ACTIONS)).toContain(name);
    // And plans name all that there is.
    expect([...names].sort()).toEqual(Object.keys(ACTIONS).sort());
  });
});

describe('Damage', () => {
  const action = (choice: object) => ({
    number: 0,
    after: 0,
    name: '',
    choice: { pick: 0, other: 0, byte: 0, ...choice },
  });

  it.each(Object.keys(CHANGES) as (keyof typeof CHANGES)[])(
    '%s: the value does not open any more',
    (kind) => {
      const value = seal(Buffer.from('someone@example.com'), KEK, CONTEXT);
      for (let byte = 0; byte < value.length * 8; byte++) {
        const damaged = CHANGES[kind](value, byte);
        expect(Buffer.compare(damaged, value)).not.toBe(0);
        expect(() => open(damaged, KEK, CONTEXT), `byte ${byte}`).toThrow(EnvelopeError);
      }
    },
  );

  it('leaves a version that nobody has', () => {
    const value = seal(Buffer.from('x'), KEK, CONTEXT);
    expect(inspect(CHANGES['unknown-version'](value, 4)).version).toBe(1_000_004);
  });

  it('changes one value, and the history has the others as they were', () => {
    const { world, people, history } = makeWorld();
    fillRow(world, 1);
    const before = rowOf(people, ['1'])?.values ?? [];
    damage(world, 'truncated', action({ pick: 1, byte: 20 }));
    const after = rowOf(people, ['1'])?.values ?? [];
    expect(after[0]).toBe(before[0]);
    expect(after[1]).toHaveLength(20);
    expect(history.at(-1)).toMatchObject({ cause: 'damage', values: after, plaintexts: null });
    // A value that is too short to be one is not damaged again.
    damage(world, 'bit-flipped', action({ pick: 1 }));
    expect(rowOf(people, ['1'])?.values[1]).toBe(after[1]);
  });

  it('swaps two values of a field', () => {
    const { world, people, history } = makeWorld();
    fillRow(world, 1);
    fillRow(world, 2);
    const valuesOf = (id: string) => rowOf(people, [id])?.values ?? [];
    const before = [valuesOf('1'), valuesOf('2')];
    swap(world, action({ pick: 0 }));
    expect(valuesOf('1')).toEqual([before[1]?.[0], before[0]?.[1]]);
    expect(valuesOf('2')).toEqual([before[0]?.[0], before[1]?.[1]]);
    expect(history.filter((event) => event.kind === 'record' && event.cause === 'damage')).toHaveLength(2);
  });

  it('does nothing where there is nothing, or the fault is not switched on', () => {
    const empty = makeWorld();
    for (const kind of Object.keys(CHANGES) as (keyof typeof CHANGES)[])
      damage(empty.world, kind, action({}));
    swap(empty.world, action({}));
    const off = makeWorld([]);
    fillRow(off.world, 1);
    damage(off.world, 'truncated', action({}));
    expect(empty.history).toHaveLength(0);
    expect(off.history).toHaveLength(1);
  });
});

describe('Rows', () => {
  it('are in the history as they are stored, by whom and with what they say', () => {
    const { world, people, history } = makeWorld();
    fillRow(world, 1);
    const stored = rowOf(people, ['1'])?.values;
    const [put] = history;
    expect(put).toMatchObject({ kind: 'record', cause: 'application', by: 'application', tenant: 'acme' });
    const told = put?.kind === 'record' ? put.values : null;
    expect(told?.[0]).toBe(stored?.[0]);
    expect(told?.[1]).toBe(stored?.[1]);
    removeRow(world, 'people', 'application', ['1']);
    removeRow(world, 'people', 'application', ['1']);
    expect(people.rows.size).toBe(0);
    expect(history).toHaveLength(2);
    expect(history[1]).toMatchObject({ values: null, plaintexts: null });
  });
});

describe('An application', () => {
  /** Its keyring has one key. `onActive`: whenever it is asked for what to seal with. */
  function makeApplication(onActive: (times: number, process: Process) => void) {
    const made = makeWorld([]);
    const processes: Process[] = [];
    let times = 0;
    const world: World = {
      ...made.world,
      keyringOf: (process) => {
        processes.push(process);
        return {
          active: async () => {
            times += 1;
            onActive(times, process);
            return KEK;
          },
          version: async () => KEK,
          clear: () => {},
        };
      },
    };
    const run = async (hours: number) => {
      startApplication(world, 'application 1', () => 60_000);
      while (await made.scheduler.step(hours * HOUR));
    };
    return { ...made, world, processes, run };
  }
  const writesOf = (history: readonly HappenedEvent[]) =>
    history.filter(
      (event) => event.kind === 'record' && event.cause === 'application' && event.values !== null,
    );

  it('writes what opens, reads it, deletes some, and says all of it', async () => {
    const { history, people, run } = makeApplication(() => {});
    await run(24);
    const reads = history.filter((event) => event.kind === 'read');
    expect(writesOf(history).length).toBeGreaterThan(100);
    expect(reads.length).toBeGreaterThan(100);
    expect(reads.filter(({ code }) => code !== null)).toEqual([]);
    expect(history.some((event) => event.kind === 'record' && event.values === null)).toBe(true);
    for (const { key, tenant, values } of people.rows.values()) {
      const written = writesOf(history).findLast(
        (event) => event.kind === 'record' && event.id.join() === key.join(),
      );
      for (const [i, value] of values.entries()) {
        if (value === null || written?.kind !== 'record') continue;
        const field = ['email', 'phone'][i] ?? '';
        const plaintext = open(value, KEK, { tenant, recordSet: 'people', recordId: key, field });
        expect(Buffer.from(plaintext)).toEqual(written.plaintexts?.[i]);
      }
    }
  });

  it('does not store what it sealed before it stood still for long, but seals it anew', async () => {
    const sealed: number[] = [];
    const { history, run, scheduler } = makeApplication((times, process) => {
      sealed.push(scheduler.now());
      if (times === 1) process.freeze(HOUR);
    });
    const written: number[] = [];
    const add = history.push.bind(history);
    history.push = (event) => {
      if (event.kind === 'record') written.push(scheduler.now());
      return add(event);
    };
    await run(2);
    const [first = 0] = sealed;
    const [stored = 0] = written;
    // At once when it goes on, the database refuses it; what is stored then was sealed after that.
    expect(stored).toBeGreaterThan(first + HOUR);
    expect(sealed.filter((at) => at > first && at <= stored).length).toBeGreaterThan(0);
  });

  it('is started anew when it is killed, with another keyring', async () => {
    const { processes, history, run } = makeApplication((times, process) => {
      if (times === 3) process.kill();
    });
    await run(4);
    expect(processes.length).toBe(2);
    expect(writesOf(history).length).toBeGreaterThan(5);
  });
});

describe('A command', () => {
  const untilQuiet = async ({ scheduler }: ReturnType<typeof makeWorld>) => {
    await settled();
    while (await scheduler.step(24 * HOUR));
  };

  it('is given again when it was cut off, until it answers', async () => {
    const made = makeWorld([]);
    let times = 0;
    command(made.world, 'rotate 1', async (_, process) => {
      times += 1;
      if (times === 1) made.scheduler.after(500, () => process.kill());
      await process.clock.sleep(1000);
    });
    await untilQuiet(made);
    expect(times).toBe(2);
    expect(made.started).toEqual(['rotate 1 #1', 'rotate 1 #2']);
  });

  it('is given again a few times while it cannot be answered now', async () => {
    const made = makeWorld([]);
    let times = 0;
    command(made.world, 'rotate 1', async () => {
      times += 1;
      throw new RotationError('QUEUE_UNAVAILABLE', 'away', { retryable: true });
    });
    let others = 0;
    command(made.world, 'restore 1', async () => (++others < 3 ? AGAIN : undefined), { tries: 8 });
    await untilQuiet(made);
    expect(times).toBe(4);
    expect(others).toBe(3);
  });

  it('takes a refusal for an answer', async () => {
    const made = makeWorld([]);
    command(made.world, 'purge 1', async () => {
      throw new RotationError('PURGE_REFUSED', 'not yet');
    });
    await untilQuiet(made);
    expect(made.started).toEqual(['purge 1 #1']);
  });
});

describe('pauseBetween', () => {
  const pause = pauseBetween([{ from: 2 * HOUR, to: 3 * HOUR }]);
  const drawn = (now: number) => Array.from({ length: 200 }, (_, i) => pause(now, createDice(i, 'pause')));

  it('sleeps to the rush and not through it, and hurries in it', () => {
    expect(Math.max(...drawn(2 * HOUR - 1000))).toBe(1000);
    expect(Math.max(...drawn(2 * HOUR))).toBeLessThanOrEqual(120_000);
    expect(Math.min(...drawn(3 * HOUR))).toBeGreaterThanOrEqual(300_000);
  });
});

describe('nth', () => {
  it('takes any number', () => {
    expect([0, 1, 2, 5].map((number) => nth(['a', 'b'], number))).toEqual(['a', 'b', 'a', 'b']);
    expect(nth([], 3)).toBeUndefined();
  });
});
