import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { type Around, runPurge, runRotation } from '../../support/memory-machine.ts';
import { KEY, prepareWorlds, stateOf, type World, type WorldMaker } from '../../support/memory-world.ts';
import { makePostgresWorld, type PostgresWorld } from '../../support/postgres-world.ts';

/** What a count read is what its process declared, whoever decides by it; and no row hides behind its key. */

let worlds: WorldMaker;
let postgres: PostgresWorld;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
afterEach(() => postgres.close());

const TENANT = 'acme';
const ROWS = 20;

const people = (...columns: readonly string[]) => ({
  people: {
    ...{ store: 'main', table: 'people', key: ['id'], tenant: { column: 'tenant' } },
    fields: columns.map((column) => ({ name: column, column })),
  },
});

/** Calls what comes before the n-th of the steps of this name, from 1 on. */
function atStep(step: string, n: number, act: () => unknown): Around {
  let steps = 0;
  return async (name, run) => {
    if (name === step && ++steps === n) await act();
    return run();
  };
}

describe('a column that a deployment declares while a job counts', () => {
  let earlier: World;
  let later: World;
  beforeEach(async () => {
    postgres = await makePostgresWorld(
      worlds,
      'CREATE TABLE people (id int PRIMARY KEY, tenant text NOT NULL, email bytea, ssn bytea)',
    );
    earlier = postgres.as(people('email'));
    later = postgres.as(people('email', 'ssn'));
    for (let id = 1; id <= ROWS; id++) {
      const email = await postgres.sealed(1, 'people', [String(id)], 'email');
      await postgres.query('INSERT INTO people VALUES ($1, $2, $3)', [id, TENANT, email]);
    }
  });

  const writeSsn = async () =>
    postgres.query('UPDATE people SET ssn = $1 WHERE id = 7', [
      await postgres.sealed(1, 'people', ['7'], 'ssn'),
    ]);
  /** Whoever runs a step has the newest configuration of that moment. */
  const running = () => {
    let now = earlier;
    const world = Object.create(postgres.world, { deps: { get: () => now.deps } }) as World;
    return {
      world,
      deploy: () => {
        now = later;
      },
    };
  };
  const ssnOnVersion1 = async () =>
    (await postgres.query('SELECT id FROM people WHERE ssn IS NOT NULL')).map(({ id }) => id);

  it.each([
    ['TakeCensus', 2],
    ['ConcludeRound', 1],
  ] as const)('is swept before the rotation is clean: deployed before %s %i', async (step, n) => {
    const { world, deploy } = running();
    const { job } = await requestRotation(world.deps, KEY);
    const around = atStep(step, n, async () => {
      await writeSsn();
      deploy();
    });
    expect(await runRotation(world, job.jobId, around)).toBe('CLEAN');
    const { census, round } = await world.job(job.jobId);
    expect(round).toBe(2);
    expect(census?.coverage['people']).toMatchObject({
      columns: ['email', 'ssn'],
      values: ROWS + 1,
      versions: { 2: ROWS + 1 },
    });
    const kept = await world.ledger.listStoredCensuses(job.keyId, 10);
    const first = kept.find((one) => one.round === 1)?.result;
    // Of the first round nothing is claimed to have been read that was not.
    expect(first?.coverage['people']?.columns).toEqual(step === 'TakeCensus' ? [] : ['email']);
    expect(first?.excluded).toContainEqual(expect.objectContaining({ why: 'DECLARED_SINCE' }));
  });

  it('blocks the rotation by name when there is no round left', async () => {
    earlier = postgres.as(people('email'), { maxRounds: 1 });
    const { world, deploy } = running();
    const { job } = await requestRotation(world.deps, KEY);
    const outcome = await runRotation(world, job.jobId, atStep('ConcludeRound', 1, deploy));
    expect(outcome).toBe('BLOCKED');
    expect((await world.job(job.jobId)).blocker).toMatchObject({
      code: 'RECORD_SET_CHANGED',
      message: expect.stringContaining('people (ssn)'),
    });
  });

  /** A purge counts two segments of people, and then it searches the store. */
  it.each([
    ['between two segments', 'TakeCensus', 2, 'RECORD_SET_CHANGED', 'people (email, ssn)'],
    ['between the count and the search', 'TakeCensus', 3, 'RECORD_SET_CHANGED', 'people (ssn)'],
    ['between the search and the decision', 'DestroyVersion', 1, 'RECORD_SET_CHANGED', 'people (ssn)'],
  ] as const)('keeps the version: deployed %s', async (_, step, n, code, named) => {
    const { world, deploy } = running();
    const { job: rotation } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, rotation.jobId)).toBe('CLEAN');
    // Written already, and declared with the deployment.
    await writeSsn();
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, job.jobId, atStep(step, n, deploy))).toBe(false);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await world.job(job.jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code, message: expect.stringContaining(named) },
    });
    expect(await ssnOnVersion1()).toEqual([7]);
  });

  it('keeps the version also where only the search knew of it', async () => {
    const { job: rotation } = await requestRotation(earlier.deps, KEY);
    expect(await runRotation(earlier, rotation.jobId)).toBe('CLEAN');
    // On the active version: nothing of it is found on the other one, and nobody has ever swept it.
    await postgres.query('UPDATE people SET ssn = $1 WHERE id = 7', [
      await postgres.sealed(2, 'people', ['7'], 'ssn'),
    ]);
    earlier.passGrace();
    let world = earlier;
    let segments = 0;
    const switching = Object.create(postgres.world, { deps: { get: () => world.deps } }) as World;
    const { job } = await requestPurge(earlier.deps, { ...KEY, version: 1 });
    const done = await runPurge(switching, job.jobId, async (name, run) => {
      const isSearch = name === 'TakeCensus' && world === earlier && ++segments === 3;
      if (isSearch) world = later;
      const result = await run();
      world = earlier;
      return result;
    });
    expect(done).toBe(false);
    expect((await world.job(job.jobId)).blocker).toMatchObject({
      code: 'RECORD_SET_CHANGED',
      message: expect.stringContaining('people in main (ssn)'),
    });
  });
});

describe('a row whose key changes while it is counted', () => {
  const RECORD_SETS = {
    people: {
      ...{ store: 'main', table: 'people', key: ['shelf', 'place'], tenant: { column: 'tenant' } },
      fields: ['email', 'note'].map((column) => ({ name: column, column })),
    },
  };
  let world: World;
  beforeEach(async () => {
    postgres = await makePostgresWorld(
      worlds,
      `CREATE TABLE people (shelf int, place int, tenant text NOT NULL, email bytea, note text, PRIMARY KEY (shelf, place))`,
    );
    world = postgres.as(RECORD_SETS);
    for (let place = 10; place <= ROWS * 10; place += 10) {
      const id = ['1', String(place)];
      const email = await postgres.sealed(1, 'people', id, 'email');
      const note = (await postgres.sealed(1, 'people', id, 'note')).toString('base64url');
      await postgres.query('INSERT INTO people VALUES (1, $1, $2, $3, $4)', [place, TENANT, email, note]);
    }
  });
  const move = (from: number, to: number) =>
    postgres.query('UPDATE people SET place = $2 WHERE place = $1', [from, to]);

  /** Of two segments: it is in the second while the first is listed or counted, and in the first from then on. */
  const hiding = (): Around => {
    const steps = { ListSegment: 0, TakeCensus: 0 };
    return async (name, run) => {
      const first = (name === 'ListSegment' || name === 'TakeCensus') && ++steps[name] === 1;
      if (first) await move(5, 190);
      const result = await run();
      if (first) await move(190, 5);
      return result;
    };
  };

  it.each(['email', 'note'])('does not lose its version: an envelope in %s', async (column) => {
    const other = column === 'email' ? 'note' : 'email';
    await postgres.query(`UPDATE people SET ${other} = NULL WHERE place = 190`);
    const { job: rotation } = await requestRotation(world.deps, KEY);
    // The rotation is misled.
    expect(await runRotation(world, rotation.jobId, hiding())).toBe('CLEAN');
    expect((await world.job(rotation.jobId)).census?.coverage['people']?.rows).toBe(ROWS - 1);
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, job.jobId, hiding())).toBe(false);
    const { census, blocker } = await world.job(job.jobId);
    expect(census).toMatchObject({
      onVersion: 0,
      coverage: { people: { rows: ROWS - 1, onVersionBySearch: 1 } },
    });
    expect(blocker).toMatchObject({ code: 'STALE_RECORDS', message: expect.stringContaining('people (1)') });
    expect(await stateOf(world, 1)).toBe('RETIRING');

    // Left alone, it is swept, and the version goes.
    const again = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, again.job.jobId)).toBe('CLEAN');
    world.passGrace();
    const purge = async () => (await requestPurge(world.deps, { ...KEY, version: 1 })).job.jobId;
    expect(await runPurge(world, await purge())).toBe(false);
    expect((await world.job(job.jobId)).blocker).toMatchObject({ code: 'HELD' });
    world.passGrace();
    expect(await runPurge(world, await purge())).toBe(true);
    expect((await world.job(job.jobId)).census?.coverage['people']).toMatchObject({
      rows: ROWS,
      onVersionBySearch: 0,
    });
  });
});
