import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KeyError, LedgerError, ProviderError } from '../../../shared/errors/errors.ts';
import { resumeVersion, suspendVersion } from '../../../shared/keyring/suspension.ts';
import { activateVersion } from '../../../shared/keyring/versions.ts';
import { type Harness, PURPOSE, type Stack, startStack, TENANT } from './harness.ts';

const SUSPENSION = { reason: 'PERSON', rootKeyId: null, at: '2026-01-01T00:00:00.000Z' } as const;

/** What the keyring seals with. */

let stack: Stack;
let h: Harness;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());
beforeEach(async () => {
  h = await stack.makeHarness();
});

const active = () => h.keyring.active(TENANT, PURPOSE);
const OUTAGE = new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });
const UNAVAILABLE = { name: 'KeyError', code: 'KEY_UNAVAILABLE', retryable: true };

describe('the active version', () => {
  it('is read and unwrapped once, however many ask at once', async () => {
    const keks = await Promise.all(Array.from({ length: 200 }, active));
    expect(new Set(keks).size).toBe(1);
    expect(keks[0]).toMatchObject({ keyId: expect.any(String), version: 1 });
    expect([h.reads.calls, h.unwraps.calls]).toEqual([1, 1]);
  });

  it('is never older than maxAge', async () => {
    await active();
    await h.rotate('r');
    h.advance(299.9);
    h.reads.error = OUTAGE;
    expect((await active()).version).toBe(1);
    h.advance(0.1);
    await expect(active()).rejects.toMatchObject({ ...UNAVAILABLE, cause: OUTAGE });
    h.reads.error = null;
    expect((await active()).version).toBe(2);
  });

  it('counts its age from before the ledger was read', async () => {
    h.reads.after = () => h.advance(200);
    await active();
    h.reads.after = () => {};
    await h.rotate('r');
    h.reads.error = OUTAGE;
    h.advance(99);
    expect((await active()).version).toBe(1);
    h.advance(1);
    await expect(active()).rejects.toMatchObject(UNAVAILABLE);
  });

  it('is refused when reading it took longer than maxAge', async () => {
    h.reads.after = () => h.advance(301);
    await expect(active()).rejects.toMatchObject(UNAVAILABLE);
  });

  it('is handed out when the clock is set back a moment while it is read', async () => {
    let back = true;
    h.reads.after = () => {
      if (back) h.clock.jumpTo(h.clock.now() - 3);
      back = false;
    };
    expect((await active()).version).toBe(1);
    expect(h.reads.calls).toBe(2);
  });

  it('is read again when unwrapping took so long that it became too old', async () => {
    let slow = true;
    h.unwraps.after = async () => {
      if (!slow) return;
      slow = false;
      await h.rotate('r');
      h.advance(300);
    };
    expect((await active()).version).toBe(2);
  });

  it('is read again after maxUses, also under a stampede', async () => {
    h = await stack.makeHarness({ maxUses: 10 });
    for (let i = 0; i < 10; i++) await active();
    expect(h.reads.calls).toBe(1);
    await active();
    expect(h.reads.calls).toBe(2);
    await Promise.all(Array.from({ length: 39 }, active));
    expect(h.reads.calls).toBe(5);
  });

  it('is refreshed ahead in the background, once', async () => {
    await active();
    await h.rotate('r');
    h.advance(241);
    const keks = await Promise.all(Array.from({ length: 50 }, active));
    expect(new Set(keks.map(({ version }) => version))).toEqual(new Set([1]));
    await h.settled();
    expect(h.reads.calls).toBe(2);
    expect((await active()).version).toBe(2);
    h.advance(100);
    h.reads.error = OUTAGE;
    expect((await active()).version).toBe(2);
  });

  it('outlives a failed refresh ahead until its age is reached, and does not hammer the ledger', async () => {
    await active();
    h.advance(241);
    h.reads.error = OUTAGE;
    for (let i = 0; i < 20; i++) {
      await active();
      await h.settled();
    }
    expect(h.reads.calls).toBe(2);
    expect(h.events.filter(({ type }) => type === 'refresh-failed')).toMatchObject([
      { what: 'key', code: 'LEDGER_UNAVAILABLE', served: false },
    ]);
    h.advance(2);
    await active();
    await h.settled();
    expect(h.reads.calls).toBe(3);
    h.advance(60);
    await expect(active()).rejects.toMatchObject(UNAVAILABLE);
  });

  it.each([-1, -100, -1_000_000])('does not get younger when the clock jumps by %d s', async (jump) => {
    await active();
    h.advance(150);
    await h.rotate('r');
    h.clock.jumpTo(h.clock.now() + jump * 1000);
    h.reads.error = OUTAGE;
    h.advance(149);
    await active().catch(() => {});
    h.advance(1);
    await expect(active()).rejects.toMatchObject(UNAVAILABLE);
  });
});

describe('no active version', () => {
  it('is an error that says so, and is not remembered', async () => {
    await expect(h.keyring.active('nobody', PURPOSE)).rejects.toMatchObject({ code: 'KEY_NOT_FOUND' });
    const key = await h.ledger.getKey(TENANT, PURPOSE);
    if (key === null) throw new Error('no key');
    const fresh = { ...key, tenant: 'new', active: 0, revision: 1 };
    await h.ledger.createKey(fresh);
    await expect(h.keyring.active('new', PURPOSE)).rejects.toMatchObject({ code: 'VERSION_STATE' });
    // Its blob is bound to the other tenant.
    await h.ledger.replaceKey({ ...fresh, active: 1, revision: 2 });
    await expect(h.keyring.active('new', PURPOSE)).rejects.toMatchObject({ code: 'UNWRAP_FAILED' });
  });

  it('follows a suspension within maxAge and a resumption within a second', async () => {
    await active();
    await h.change((key) => suspendVersion(key, 1, SUSPENSION));
    h.advance(300);
    await expect(active()).rejects.toMatchObject({ code: 'VERSION_STATE' });
    await h.change((key) => resumeVersion(key, 1));
    await expect(active()).rejects.toMatchObject({ code: 'VERSION_STATE' });
    h.advance(1);
    expect((await active()).version).toBe(1);
  });
});

describe('the KEK', () => {
  it('is not handed out when its bytes are not the proved ones', async () => {
    await h.change((key) => {
      const version = key.versions['1'];
      if (version === undefined) throw new Error('no version');
      return { ...key, revision: key.revision + 1, versions: { '1': { ...version, check: 'A'.repeat(22) } } };
    });
    await expect(active()).rejects.toMatchObject({ name: 'KeyError', code: 'KEY_CHECK_FAILED' });
  });

  it('is not unwrapped by another provider than its own', async () => {
    await h.change((key) => {
      const version = key.versions['1'];
      if (version === undefined) throw new Error('no version');
      return { ...key, revision: key.revision + 1, versions: { '1': { ...version, provider: 'aws-kms' } } };
    });
    await expect(active()).rejects.toMatchObject({
      code: 'KEY_UNAVAILABLE',
      message: expect.stringContaining('aws-kms'),
    });
    expect(h.unwraps.calls).toBe(0);
  });

  it('serves through an outage of the provider, up to the hard ceiling', async () => {
    await active();
    h.unwraps.error = new ProviderError('PROVIDER_UNAVAILABLE', 'down', { retryable: true });
    h.advance(1000);
    expect((await active()).version).toBe(1);
    expect(h.events).toContainEqual(
      expect.objectContaining({
        type: 'refresh-failed',
        what: 'kek',
        code: 'PROVIDER_UNAVAILABLE',
        served: true,
      }),
    );
    h.advance(2599);
    await active();
    h.advance(1);
    await expect(active()).rejects.toMatchObject(UNAVAILABLE);
  });

  it('does not serve once it is revoked: that is no outage', async () => {
    await active();
    const denied = new ProviderError('PROVIDER_DENIED', 'no');
    h.unwraps.error = denied;
    h.advance(300);
    await expect(active()).rejects.toBe(denied);
    h.unwraps.error = new ProviderError('PROVIDER_UNAVAILABLE', 'down', { retryable: true });
    await expect(active()).rejects.toMatchObject(UNAVAILABLE);
  });

  it('is forgotten when too many others are used', async () => {
    h = await stack.makeHarness({ maxKeys: 1 });
    await active();
    await h.rotate('r2');
    for (const version of [1, 2]) await h.keyring.version(TENANT, PURPOSE, version);
    await h.change((key) => ({ ...key, rotationId: null, revision: key.revision + 1 }));
    await h.rotate('r3');
    const before = h.unwraps.calls;
    for (const version of [3, 2, 1]) await h.keyring.version(TENANT, PURPOSE, version);
    expect(h.unwraps.calls - before).toBe(2);
  });
});

describe('clear', () => {
  it('forgets at once, also what is being read', async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    h.reads.after = () => gate;
    const early = active();
    await h.settled();
    h.keyring.clear();
    h.reads.after = () => {};
    await h.rotate('r');
    expect((await active()).version).toBe(2);
    release();
    expect((await early).version).toBe(1);
    expect((await active()).version).toBe(2);
    expect(h.reads.calls).toBe(2);
  });
});

describe('limits that make no sense', () => {
  it.each([
    { maxAgeSeconds: 0 },
    { refreshAheadSeconds: 300 },
    { hardCeilingSeconds: 299 },
    { maxUses: 0 },
    { maxKeys: 0 },
  ])('are refused: %o', (options) => {
    expect(() => h.makeKeyring(options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });

  it('have defaults, and a failing listener does no harm', async () => {
    const keyring = h.makeKeyring({
      monotonic: () => performance.now(),
      onEvent: () => {
        throw new KeyError('KEY_EXISTS', 'listener');
      },
    });
    await keyring.active(TENANT, PURPOSE);
    h.advance(290);
    h.reads.error = OUTAGE;
    await keyring.active(TENANT, PURPOSE);
    await h.settled();
    expect((await keyring.active(TENANT, PURPOSE)).version).toBe(1);
  });
});

describe('a rollback', () => {
  it('is followed like any activation', async () => {
    await h.rotate('r');
    expect((await active()).version).toBe(2);
    await h.change((key) => activateVersion(key, 1, h.clock.timestamp(), 'r'));
    h.advance(300);
    expect((await active()).version).toBe(1);
  });
});
