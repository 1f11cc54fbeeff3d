import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approve } from '../../../shared/approvals/approve.ts';
import { type Certificate, certificateSchema } from '../../../shared/certificates/certificate.ts';
import { findInconsistencies } from '../../../shared/certificates/inconsistencies.ts';
import { readCertificate } from '../../../shared/certificates/verify-certificate.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { type Approvers, createApprovers } from '../../support/approvers.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type WorldMaker } from '../../support/memory-world.ts';

/** Any one change that makes a certificate contradict itself is found, in a certificate that has everything. */

let worlds: WorldMaker;
let approvers: Approvers;
let valid: Certificate;
beforeAll(async () => {
  worlds = await prepareWorlds();
  approvers = await createApprovers('ada', 'grace');
  const approvals = { required: 2, approvers: await approvers.configured('ada', 'grace') };
  const world = await worlds.makeWorld(createMemoryLedger(), {}, { approvals });
  await fill(world, 4);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
  world.passGrace();
  const purge = (await requestPurge(world.deps, { ...KEY, version: 1 })).job;
  await expect(runPurge(world, purge.jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
  const { approvalId } = await world.job(purge.jobId);
  for (const name of ['ada', 'grace'])
    await approve(world.deps, approvalId ?? '', name, approvers.signer(name));
  await requestPurge(world.deps, { ...KEY, version: 1 });
  expect(await runPurge(world, purge.jobId)).toBe(true);
  const stored = await world.ledger.getCertificate(purge.keyId, 1);
  valid = readCertificate(stored?.jws ?? '');
});
afterAll(async () => {
  await worlds.remove();
  await approvers.remove();
});

/** More than clocks may differ, up to years. */
const long = fc.integer({ min: 301, max: 400_000_000 });

function moved(at: string | null, seconds: number): string {
  return new Date(Date.parse(at ?? '') + seconds * 1000).toISOString();
}

const LIFE = [
  'createdAt',
  'provedAt',
  'activatedAt',
  'retiringAt',
  'censusCleanAt',
  'retiredAt',
  'graceEndedAt',
  'destroyPendingAt',
  'destroyAuthorizedAt',
  'destroyedAt',
] as const;

type Mutation = (certificate: Certificate, seconds: number) => object;

function withTime(name: (typeof LIFE)[number], at: string | null) {
  return (c: Certificate): object => ({ ...c, times: { ...c.times, [name]: at } });
}

const given = (change: (one: Certificate['approvals']['given'][number]) => object): Mutation => {
  return (c) => {
    const [first, ...rest] = c.approvals.given;
    const changed = first === undefined ? [] : [{ ...first, ...change(first) }];
    return { ...c, approvals: { ...c.approvals, given: [...changed, ...rest] } };
  };
};
const destroyed = (change: object): Mutation => {
  return (c) => ({ ...c, destroyed: { ...c.destroyed, ...change } });
};
const census = (change: (c: Certificate, seconds: number) => object): Mutation => {
  return (c, seconds) => ({ ...c, census: { ...c.census, ...change(c, seconds) } });
};
const rotation = (change: object): Mutation => {
  return (c) => ({ ...c, rotations: c.rotations.map((each) => ({ ...each, ...change })) });
};
const approvals = (change: object): Mutation => {
  return (c) => ({ ...c, approvals: { ...c.approvals, ...change } });
};

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  ...Object.fromEntries(
    LIFE.flatMap((name): [string, Mutation][] => [
      [`${name} before all`, (c, s) => withTime(name, moved(c.times.createdAt, -s))(c)],
      [`${name} after all`, (c, s) => withTime(name, moved(c.issuedAt, s))(c)],
      ...(name === 'createdAt' || name === 'destroyedAt'
        ? []
        : [[`${name} not told`, (c: Certificate) => withTime(name, null)(c)] as [string, Mutation]]),
    ]).filter(([name]) => name !== 'createdAt before all'),
  ),
  'certified before it was erased': (c, s) => ({ ...c, issuedAt: moved(c.times.destroyedAt, -s) }),
  'counted before the fence': census((c, s) => ({ takenAt: moved(c.times.destroyPendingAt, -s) })),
  'counted after the erasure': census((c, s) => ({ takenAt: moved(c.times.destroyedAt, s) })),
  'counted for the tenant only': census(() => ({ reach: 'tenant' })),
  'counted nothing': census(() => ({ coverage: {}, foreign: 0 })),
  'searched nothing': census(() => ({ undeclared: null })),
  'found by the search alone': (c, s) => {
    const [[name, read] = []] = Object.entries(c.census.coverage);
    if (name === undefined || read === undefined) throw new Error('nothing was read');
    const coverage = { ...c.census.coverage, [name]: { ...read, onVersionBySearch: s } };
    return { ...c, census: { ...c.census, coverage } };
  },
  'another soak': (c, s) => ({ ...c, soakSeconds: (c.soakSeconds ?? 0) + s }),
  'no soak': (c) => ({ ...c, soakSeconds: null }),
  'requested after the fence': (c, s) => ({
    ...c,
    purge: { ...c.purge, requestedAt: moved(c.times.destroyPendingAt, s) },
  }),
  'destroyed by the provider': destroyed({ how: 'DESTROYED_BY_PROVIDER' }),
  'logically retired': destroyed({ how: 'LOGICALLY_RETIRED', effectiveAt: null }),
  'not destroyed': destroyed({ how: 'NOT_DESTROYED', effectiveAt: null }),
  'erased, never effective': destroyed({ effectiveAt: null }),
  'effective too early': (c, s) => destroyed({ effectiveAt: moved(c.times.destroyedAt, -s) })(c, s),
  'kept in another way': (c) => ({ ...c, kept: { ...c.kept, as: 'IMPORTED_MATERIAL' } }),
  'wrapped by nothing': (c) => ({ ...c, kept: { ...c.kept, wrappings: [] } }),
  'no rotation': (c) => ({ ...c, rotations: [] }),
  'a rotation to the version': rotation({ from: 2, to: 1 }),
  'a rotation of other versions': rotation({ from: 7, to: 7 }),
  'a rotation to none': rotation({ to: 0 }),
  'a rotation that left another version': (c, s) =>
    rotation({ from: 5, to: 6, requestedAt: moved(c.times.retiringAt, -s) })(c, s),
  'a rotation asked for later': (c, s) => rotation({ requestedAt: moved(c.times.retiringAt, s) })(c, s),
  'a rotation that ended at another time': (c, s) =>
    rotation({ completedAt: moved(c.times.retiredAt, s) })(c, s),
  'records that are not those of the rounds': rotation({ rounds: [] }),
  'none required': approvals({ required: 0 }),
  'nobody asked, though required': approvals({ request: null, given: [] }),
  'one too few': (c) => approvals({ given: c.approvals.given.slice(1) })(c, 0),
  'one twice': (c) => approvals({ given: c.approvals.given.map(() => c.approvals.given[0]) })(c, 0),
  'more required': (c, s) => approvals({ required: 2 + s })(c, s),
  'approved before it was asked for': (c, s) =>
    given(() => ({ at: moved(c.approvals.request?.requestedAt ?? null, -s) }))(c, s),
  'approved after it was authorized': (c, s) =>
    given(() => ({ at: moved(c.times.destroyAuthorizedAt, s) }))(c, s),
  'approved by who asked': given(() => ({ approver: 'test' })),
};

describe('what contradicts itself in a certificate', () => {
  it('is nothing in one that was issued', () => {
    expect(findInconsistencies(valid)).toEqual([]);
  });

  it.each(Object.keys(MUTATIONS))('is found: %s', (name) => {
    fc.assert(
      fc.property(long, (seconds) => {
        const changed = certificateSchema.parse(MUTATIONS[name]?.(valid, seconds));
        expect(findInconsistencies(changed)).not.toEqual([]);
      }),
      { numRuns: 50 },
    );
  });

  it('is not that clocks differ a little, nor what a rotation had no report of', () => {
    const late = { ...valid.census, takenAt: moved(valid.times.destroyedAt, 60) };
    expect(findInconsistencies({ ...valid, census: late })).toEqual([]);
    const rotations = valid.rotations.map((each) => {
      const lost = { planned: 9, rewrapped: 0, skipped: 0, quarantined: 0, remaining: 9 };
      return { ...each, rounds: [{ round: 1, ...lost }], records: lost };
    });
    expect(findInconsistencies({ ...valid, rotations })).toEqual([]);
  });
});
