import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approve } from '../../../shared/approvals/approve.ts';
import type { Certificate } from '../../../shared/certificates/certificate.ts';
import { findInconsistencies } from '../../../shared/certificates/inconsistencies.ts';
import { issueCertificate } from '../../../shared/certificates/issue-certificate.ts';
import { readCertificate, verifyCertificate } from '../../../shared/certificates/verify-certificate.ts';
import { LEDGER_BACKUP_SECONDS } from '../../../shared/ledger/table.ts';
import { cancelJob } from '../../../shared/rotation/cancel-job.ts';
import { changeJob } from '../../../shared/rotation/change.ts';
import { pauseByPerson, resumeByPerson } from '../../../shared/rotation/control-job.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { retireVersion } from '../../../shared/rotation/retire-version.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { verifiesByNode } from '../../contracts/signer.ts';
import { runOn } from '../../scripts/capture.ts';
import { type Approvers, createApprovers } from '../../support/approvers.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import {
  Crash,
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

let worlds: WorldMaker;
let approvers: Approvers;
beforeAll(async () => {
  worlds = await prepareWorlds();
  approvers = await createApprovers('ada', 'grace', 'mallory');
});
afterAll(async () => {
  await worlds.remove();
  await approvers.remove();
});

const PURGE = { ...KEY, version: 1 };

/** A rotation has left version 1, and its grace is over. */
async function makeRetired(approvals?: object): Promise<World> {
  const world = await worlds.makeWorld(
    createMemoryLedger(),
    {},
    approvals === undefined ? {} : { approvals },
  );
  await fill(world, 6);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
  world.passGrace();
  return world;
}

async function purged(world: World): Promise<Certificate> {
  const { job } = await requestPurge(world.deps, PURGE);
  expect(await runPurge(world, job.jobId)).toBe(true);
  return certificateOf(world);
}

async function storedJws(world: World): Promise<string> {
  const stored = await world.ledger.getCertificate((await world.key()).keyId, 1);
  if (stored === null) throw new Error('no certificate');
  return stored.jws;
}

async function certificateOf(world: World): Promise<Certificate> {
  return readCertificate(await storedJws(world));
}

/** With the approvals of ada and grace. */
async function purgedByApproval(): Promise<World> {
  const pinned = await approvers.configured('ada', 'grace', 'mallory');
  const world = await makeRetired({ required: 2, approvers: pinned });
  const { job } = await requestPurge(world.deps, PURGE);
  await expect(runPurge(world, job.jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
  const { approvalId } = await world.job(job.jobId);
  for (const name of ['ada', 'grace'])
    await approve(world.deps, approvalId ?? '', name, approvers.signer(name));
  await requestPurge(world.deps, PURGE);
  expect(await runPurge(world, job.jobId)).toBe(true);
  return world;
}

describe('the certificate of a purged version', () => {
  it('says what the ledger knows of it, and nothing that contradicts itself', async () => {
    const world = await makeRetired();
    const certificate = await purged(world);
    const { keyId, versions } = await world.key();
    const version = versions['1'];
    expect(certificate).toMatchObject({
      ...{ certificateVersion: 1, tenant: TENANT, purpose: PURPOSE, keyId, version: 1, restoreEpoch: 0 },
      kept: {
        ...{ as: 'WRAPPED_KEK', provider: 'local', rootKeyOf: 'STAGE' },
        wrappings: [{ rootKeyId: world.provider.rootKeyFor(TENANT), materialId: null }],
      },
      times: {
        createdAt: version?.createdAt,
        provedAt: version?.provedAt,
        activatedAt: version?.activatedAt,
        retiringAt: version?.retiringAt,
        graceEndedAt: version?.purgeNotBefore,
        destroyPendingAt: version?.destroyPendingAt,
        destroyAuthorizedAt: version?.destroyAuthorizedAt,
        destroyedAt: version?.destroyedAt,
      },
      approvals: { required: 0, request: null, given: [] },
      destroyed: { how: 'ERASED', effectiveAt: version?.destroyedAt },
    });
    expect(Object.values(certificate.times)).not.toContain(null);
    expect(certificate.soakSeconds).toBeGreaterThan(0);
    expect(findInconsistencies(certificate)).toEqual([]);
  });

  it('has the rotation with counts that sum, and the census with what was read and what was not', async () => {
    const world = await makeRetired();
    const { rotations, census } = await purged(world);
    // Six people and three notes.
    expect(rotations).toMatchObject([
      { from: 1, to: 2, goal: 'NEW_VERSION', records: { planned: 9, rewrapped: 9, remaining: 0 } },
    ]);
    expect(census).toMatchObject({ reach: 'everywhere', onVersion: 0, malformed: 0 });
    expect(Object.keys(census.coverage).sort()).toEqual(['notes', 'people']);
    expect(census.coverage['people']).toMatchObject({ rows: 6, values: 12, versions: { '2': 12 } });
    expect(census.excluded).toContainEqual(expect.objectContaining({ why: 'BACKUPS' }));
  });

  it('has no key byte and no value of a record in it', async () => {
    const world = await makeRetired();
    const wrapped = (await world.key()).versions['1']?.wrapped?.wrapped ?? new Uint8Array();
    const text = JSON.stringify(await purged(world));
    expect(wrapped.length).toBeGreaterThan(0);
    for (const encoding of ['base64url', 'base64', 'hex'] as const)
      expect(text).not.toContain(Buffer.from(wrapped).toString(encoding));
    expect(text).not.toContain('person 1');
  });

  it('is signed by the signing key: node:crypto alone verifies it', async () => {
    const world = await makeRetired();
    await purged(world);
    const key = await world.deps.signer.publicKey();
    const jws = await storedJws(world);
    expect(verifiesByNode(jws, key)).toBe(true);
    const [header = '', payload = '', signature] = jws.split('.');
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
      alg: 'EdDSA',
      kid: key.kid,
      typ: 'keyturn-retirement-certificate+jws',
    });
    const other = Buffer.from(payload, 'base64url').toString().replace('"version":1', '"version":2');
    const forged = [header, Buffer.from(other).toString('base64url'), signature].join('.');
    expect(verifiesByNode(forged, key)).toBe(false);
  });

  it('has the approvals, which verify by the keys that are pinned', async () => {
    const world = await purgedByApproval();
    const { approvals } = await certificateOf(world);
    expect(approvals).toMatchObject({
      required: 2,
      request: { action: 'purge', version: 1, requestedBy: 'test' },
    });
    expect(approvals.given.map(({ approver }) => approver)).toEqual(['ada', 'grace']);
    const report = await verify(world);
    expect(report.problems).toEqual([]);
    expect(report.verified.filter((each) => each.startsWith('The approval of'))).toHaveLength(2);
  });

  it('names the root key of a tenant that brought its own', async () => {
    const world = await makeRetired();
    const rootKey = world.provider.rootKeyFor(TENANT);
    const aws = { type: 'aws-kms' as const, formerRootKeys: [], requestsPerSecond: 1 };
    const provider = { ...aws, tenantRootKeys: { [TENANT]: rootKey } };
    const { job } = await requestPurge(world.deps, PURGE);
    const silent = { ...world.deps.ledger, createCertificate: async () => Promise.reject(new Crash('sign')) };
    await runPurge({ ...world, deps: { ...world.deps, ledger: silent } }, job.jobId).catch(() => undefined);
    const deps = { ...world.deps, config: { ...world.deps.config, provider } };
    await issueCertificate(deps, await world.job(job.jobId));
    expect((await certificateOf(world)).kept.rootKeyOf).toBe('TENANT');
  });

  it('counts the backups of the ledger, also where the root key is a keystore on one machine', async () => {
    const world = await makeRetired();
    expect(world.deps.config.provider.type).toBe('local');
    const { job } = await requestPurge(world.deps, PURGE);
    const inAws = { ...world.deps, ledgerBackupSeconds: LEDGER_BACKUP_SECONDS };
    expect(await runPurge({ ...world, deps: inAws }, job.jobId)).toBe(true);
    const { destroyed, times } = await certificateOf(world);
    const later = new Date(Date.parse(times.destroyedAt) + 35 * 86_400_000).toISOString();
    const statement = expect.stringContaining('backups hold it for up to 35 days more');
    expect(destroyed).toEqual({ how: 'ERASED', effectiveAt: later, statement });
    const told = async (deps: World['deps']) => {
      const { stdout } = await runOn(deps, ['purge', '--tenant', TENANT, '--version', '1', '--yes']);
      return stdout.split('\n').filter((line) => /backups|compacted/.test(line));
    };
    expect(await told(inAws)).toEqual([
      '  Point-in-time backups of the ledger hold the wrapped key for up to 35 d more.',
    ]);
    expect(await told(world.deps)).toEqual([
      '  The ledger has no backups of its own; its files may hold the wrapped key until they are compacted.',
    ]);
  });
});

async function verify(world: World, change: (jws: string) => string = (jws) => jws) {
  const { signer, config } = world.deps;
  return verifyCertificate(
    change(await storedJws(world)),
    [await signer.publicKey()],
    config.approvals.approvers,
  );
}

describe('issuing it', () => {
  it('happens once: a repeat returns the same one, whatever the time', async () => {
    const world = await makeRetired();
    await purged(world);
    const jws = await storedJws(world);
    world.pass(86_400);
    const { job } = await requestPurge(world.deps, PURGE);
    expect((await issueCertificate(world.deps, job)).jws).toBe(jws);
  });

  it('ends with one, and the purge complete, after a crash at any call', async () => {
    const world = await makeRetired();
    const { job } = await requestPurge(world.deps, PURGE);
    const { before, after } = world.faults;
    for (const phase of ['before', 'after'] as const) {
      for (const call of ['ledger.getCertificate', 'signer.sign', 'ledger.createCertificate']) {
        world.faults[phase] = (each) => {
          if (each === call) throw new Crash(call);
        };
        await runPurge(world, job.jobId).catch(() => undefined);
        expect(world.crashed).toBe(true);
        expect(await world.job(job.jobId)).not.toMatchObject({ status: 'COMPLETED' });
        Object.assign(world.faults, { before, after });
        world.restart();
      }
    }
    await untilDone(world, () => runPurge(world, job.jobId));
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED' });
    expect((await verify(world)).problems).toEqual([]);
  });

  it('of two at once gives both the one that is stored', async () => {
    const world = await makeRetired();
    const { job } = await requestPurge(world.deps, PURGE);
    world.faults.before = (call) => {
      if (call === 'signer.sign') throw new Crash(call);
    };
    await runPurge(world, job.jobId).catch(() => undefined);
    world.faults.before = () => {};
    world.restart();
    const destroyed = await world.job(job.jobId);
    const both = await Promise.all([1, 2].map(() => issueCertificate(world.deps, destroyed)));
    expect(both[0]).toEqual(both[1]);
    expect(both[0]?.jws).toBe(await storedJws(world));
  });

  it.each([
    ['by its last step', (world: World, jobId: string) => retireVersion(world.deps, jobId)],
    [
      'by a person who had it rest',
      async (world: World, jobId: string) => {
        await pauseByPerson(world.deps, jobId, 'person:ann');
        await resumeByPerson(world.deps, jobId);
      },
    ],
    [
      'by a person who called it off',
      (world: World, jobId: string) => cancelJob(world.deps, jobId, 'person:ann'),
    ],
  ])(
    'is issued also where the end of the rotation was written when the grace was over, %s',
    async (_, end) => {
      const world = await worlds.makeWorld(createMemoryLedger());
      await fill(world, 6);
      const { job } = await requestRotation(world.deps, KEY);
      const cutOff = async <T>(name: string, run: () => Promise<T>): Promise<T> => {
        world.faults.before = (call) => {
          if (name === 'RetireVersion' && call === 'ledger.replaceJob') throw new Crash(call);
        };
        return run();
      };
      await runRotation(world, job.jobId, cutOff).catch(() => undefined);
      world.faults.before = () => {};
      world.restart();
      expect(await world.key()).toMatchObject({ rotationId: null, active: 2 });
      expect(await world.job(job.jobId)).toMatchObject({ status: 'CENSUS' });
      world.passGrace();
      await end(world, job.jobId);
      expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED' });
      const { times } = await purged(world);
      expect(Date.parse(times.retiredAt ?? '')).toBeGreaterThanOrEqual(Date.parse(times.censusCleanAt ?? ''));
      expect(Date.parse(times.retiredAt ?? '')).toBeLessThan(Date.parse(times.graceEndedAt ?? ''));
    },
  );

  it('is refused where what the ledger knows does not sum, and the purge does not complete', async () => {
    const world = await makeRetired();
    const { job } = await requestPurge(world.deps, PURGE);
    world.faults.before = (call) => {
      if (call === 'signer.sign') throw new Crash(call);
    };
    await runPurge(world, job.jobId).catch(() => undefined);
    world.faults.before = () => {};
    world.restart();
    expect(await stateOf(world, 1)).toBe('DESTROYED');
    const changed = await changeJob(world.deps, job.jobId, (current) => {
      const people = current.census?.coverage['people'];
      if (current.census === null || people === undefined) throw new Error('no census');
      const coverage = { ...current.census.coverage, people: { ...people, values: people.values + 1 } };
      return { ...current, census: { ...current.census, coverage } };
    });
    await expect(issueCertificate(world.deps, changed)).rejects.toMatchObject({
      name: 'CertificateError',
      code: 'CERTIFICATE_INCONSISTENT',
      message: expect.stringContaining('people: its counts sum to 12, and 13 values were read'),
    });
    expect(await world.ledger.getCertificate(job.keyId, 1)).toBeNull();
  });

  it('is refused for a version that is not destroyed', async () => {
    const world = await makeRetired();
    const { job } = await requestPurge(world.deps, PURGE);
    await expect(issueCertificate(world.deps, job)).rejects.toMatchObject({
      code: 'CERTIFICATE_INCONSISTENT',
    });
  });
});

describe('approvals in it', () => {
  /** Approved by ada and grace, and destroyed; the process died before it signed. */
  async function destroyedUnsigned(): Promise<{ world: World; jobId: string }> {
    const pinned = await approvers.configured('ada', 'grace', 'mallory');
    const world = await makeRetired({ required: 2, approvers: pinned });
    const { job } = await requestPurge(world.deps, PURGE);
    await expect(runPurge(world, job.jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    const { approvalId } = await world.job(job.jobId);
    for (const name of ['ada', 'grace'])
      await approve(world.deps, approvalId ?? '', name, approvers.signer(name));
    await requestPurge(world.deps, PURGE);
    world.faults.before = (call) => {
      if (call === 'signer.sign') throw new Crash(call);
    };
    await runPurge(world, job.jobId).catch(() => undefined);
    world.faults.before = () => {};
    world.restart();
    expect(await stateOf(world, 1)).toBe('DESTROYED');
    // Too late to count, though the signature is good.
    await world.ledger.createApproval({
      ...{ requestId: approvalId ?? '', approver: 'mallory', breakGlass: false },
      ...{ at: world.clock.timestamp(), jws: 'a.b.c' },
    });
    return { world, jobId: job.jobId };
  }

  it.each([
    ['more are required now', { required: 3 }],
    ['none are required now', { required: 0 }],
    ['nobody is an approver now', { approvers: {} }],
  ])('are those of when it was authorized, also where %s', async (_, change) => {
    const { world, jobId } = await destroyedUnsigned();
    const { config } = world.deps;
    const deps = { ...world.deps, config: { ...config, approvals: { ...config.approvals, ...change } } };
    await issueCertificate(deps, await world.job(jobId));
    const { approvals } = await certificateOf(world);
    expect(approvals.required).toBe(2);
    expect(approvals.given.map(({ approver }) => approver)).toEqual(['ada', 'grace']);
    expect((await verify(world)).problems).toEqual([]);
  });

  it('that were not required are said not to have been', async () => {
    const world = await makeRetired();
    await purged(world);
    expect((await verify(world)).notVerified[0]).toContain('no approvals were required');
  });
});

describe('verifying it', () => {
  it('says what was verified, and what no signature can say', async () => {
    const world = await purgedByApproval();
    const report = await verifyCertificate(
      await storedJws(world),
      [await world.deps.signer.publicKey()],
      null,
    );
    expect(report.problems).toEqual([]);
    expect(report.notVerified[0]).toContain("approvers' own signatures");
    expect(report.verified.join()).not.toContain('approval');
  });

  it('of a newer release is said to be one, and is vouched for in nothing', async () => {
    const world = await makeRetired();
    await purged(world);
    const certificate = await certificateOf(world);
    const key = await world.deps.signer.publicKey();
    const { purge } = certificate;
    for (const newer of [
      { ...certificate, certificateVersion: 2 },
      { ...certificate, later: 'SECRET' },
      { ...certificate, purge: { ...purge, later: 'SECRET' } },
    ]) {
      const jws = await world.deps.signer.sign('keyturn-retirement-certificate+jws', newer);
      const error: unknown = await verifyCertificate(jws, [key], null).catch((e: unknown) => e);
      expect(error).toMatchObject({
        code: 'CERTIFICATE_INVALID',
        message: expect.stringContaining('this release of Keyturn does not know'),
        remedy: expect.stringContaining('A newer release issued it'),
      });
      expect(String(error)).not.toContain('SECRET');
    }
    // What lacks something, too, is no certificate of any release.
    const { times: _, ...rest } = certificate;
    const jws = await world.deps.signer.sign('keyturn-retirement-certificate+jws', { ...rest, later: 1 });
    await expect(verifyCertificate(jws, [key], null)).rejects.toMatchObject({
      message: expect.stringContaining('times'),
    });
  });

  it('fails with another key, and for what that key signed as something else', async () => {
    const world = await makeRetired();
    await purged(world);
    const jws = await storedJws(world);
    const ada = await approvers.signer('ada').publicKey();
    await expect(verifyCertificate(jws, [ada], null)).rejects.toMatchObject({ code: 'CERTIFICATE_INVALID' });
    const anchor = await world.deps.signer.sign('keyturn-anchor+jws', await certificateOf(world));
    const key = await world.deps.signer.publicKey();
    await expect(verifyCertificate(anchor, [key], null)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
    const nothing = await world.deps.signer.sign('keyturn-retirement-certificate+jws', { version: 1 });
    await expect(verifyCertificate(nothing, [key], null)).rejects.toMatchObject({
      code: 'CERTIFICATE_INVALID',
    });
  });

  it.each<[string, (certificate: Certificate) => object, RegExp]>([
    ['the approval of somebody else', withApprovals('grace', 'mallory'), /^mallory signed with another key/],
    ['one approval twice', withApprovals('ada', 'ada'), /stands twice/],
    ['one approval only', withApprovals('ada'), /1 approved, and 2 were required/],
    ['a later approval than was signed', later, /^ada signed something else$/],
    ['approvals for another version', (c) => ({ ...c, version: 2 }), /for something else/],
  ])('finds %s, also where the stack signed it', async (_, forge, expected) => {
    const world = await purgedByApproval();
    const forged = forge(await certificateOf(world));
    const jws = await world.deps.signer.sign('keyturn-retirement-certificate+jws', forged);
    const key = await world.deps.signer.publicKey();
    const { problems } = await verifyCertificate(jws, [key], world.deps.config.approvals.approvers);
    expect(problems).toContainEqual(expect.stringMatching(expected));
  });

  it('finds an approver whose key is another one now', async () => {
    const world = await purgedByApproval();
    const pinned = await approvers.configured('ada', 'grace', 'mallory');
    const swapped = { ...pinned, grace: pinned['mallory'], mallory: pinned['grace'] };
    const { signer, config } = world.deps;
    const parsed = { ...config.approvals.approvers, ...Object(swapped) };
    const { problems } = await verifyCertificate(await storedJws(world), [await signer.publicKey()], parsed);
    expect(problems).toEqual([
      'grace signed with another key than the configuration pins',
      expect.stringContaining('1 approvals verify, and 2 were required'),
    ]);
  });
});

/** The approvals of these instead, with the signatures that are there. */
function withApprovals(...names: readonly string[]) {
  return (certificate: Certificate): object => {
    const { given } = certificate.approvals;
    const forged = names.map((approver, i) => ({ ...given[i], ...withName(given, approver, i) }));
    return { ...certificate, approvals: { ...certificate.approvals, given: forged } };
  };
}

function withName(given: Certificate['approvals']['given'], approver: string, i: number): object {
  return given.find((each) => each.approver === approver) ?? { ...given[i], approver };
}

function later(certificate: Certificate): object {
  const given = certificate.approvals.given.map((each) => ({ ...each, at: '2020-01-01T00:00:00.000Z' }));
  return { ...certificate, approvals: { ...certificate.approvals, given } };
}
