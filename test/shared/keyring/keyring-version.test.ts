import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LedgerError } from '../../../shared/errors/errors.ts';
import { usedVersions } from '../../../shared/keyring/canary.ts';
import {
  authorizeDestroy,
  beginDestroy,
  cancelDestroy,
  finishDestroy,
} from '../../../shared/keyring/destruction.ts';
import { createFieldCipher } from '../../../shared/keyring/field-cipher.ts';
import { resumeVersion, suspendVersion } from '../../../shared/keyring/suspension.ts';
import { retireFrom } from '../../../shared/keyring/versions.ts';
import { type Harness, PURPOSE, type Stack, startStack, TENANT } from './harness.ts';

const SUSPENSION = { reason: 'PERSON', rootKeyId: null, at: '2026-01-01T00:00:00.000Z' } as const;

/** What the keyring opens with. */

let stack: Stack;
let h: Harness;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.stop());
beforeEach(async () => {
  h = await stack.makeHarness();
});

const version = (number: number, use?: 'open' | 'rewrap') => h.keyring.version(TENANT, PURPOSE, number, use);
const OUTAGE = new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });

async function retireFirst(): Promise<void> {
  await h.rotate('r');
  await h.change((key) => retireFrom(key, 1, { purgeNotBefore: h.clock.timestamp(), rotationId: 'r' }));
}

async function makePending(): Promise<void> {
  await retireFirst();
  await h.change((key) => beginDestroy(key, 1, h.clock.timestamp()));
}

const stateOf = async (number: number) =>
  (await h.ledger.getKey(TENANT, PURPOSE))?.versions[String(number)]?.state;

describe('a version', () => {
  it('opens while it is active and while it is retiring', async () => {
    expect((await version(1)).version).toBe(1);
    await retireFirst();
    h.advance(300);
    expect((await version(1)).version).toBe(1);
    expect((await version(2)).version).toBe(2);
  });

  it('that was made a moment ago is found, whatever is cached or being read', async () => {
    await version(1);
    await h.rotate('r');
    expect((await version(2)).version).toBe(2);
    // A reading that began before the next activation, and is answered after it.
    h.keyring.clear();
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    h.reads.after = () => gate;
    const early = version(1);
    await h.settled();
    await h.change((key) => ({ ...key, rotationId: null, revision: key.revision + 1 }));
    await h.rotate('r2');
    const late = version(3);
    h.reads.after = () => {};
    release();
    expect((await early).version).toBe(1);
    expect((await late).version).toBe(3);
  });

  it('that is not there is an error', async () => {
    await expect(version(9)).rejects.toMatchObject({ name: 'KeyError', code: 'VERSION_NOT_FOUND' });
  });

  it('opens through an outage of the ledger up to the hard ceiling, without waiting for it each time', async () => {
    await version(1);
    h.reads.error = OUTAGE;
    h.advance(301);
    for (let i = 0; i < 20; i++) expect((await version(1)).version).toBe(1);
    expect(h.reads.calls).toBe(2);
    expect(h.events).toMatchObject([{ type: 'refresh-failed', what: 'key', served: true }]);
    h.advance(3299);
    await expect(version(1)).rejects.toMatchObject({ code: 'KEY_UNAVAILABLE', retryable: true });
    h.reads.error = null;
    expect((await version(1)).version).toBe(1);
  });

  it('does not open through a refusal of the ledger', async () => {
    await version(1);
    const denied = new LedgerError('LEDGER_DENIED', 'no');
    h.reads.error = denied;
    h.advance(300);
    await expect(version(1)).rejects.toBe(denied);
  });

  it('is refused while it is suspended, and found again a second after', async () => {
    await h.change((key) => suspendVersion(key, 1, SUSPENSION));
    await expect(version(1)).rejects.toMatchObject({ code: 'VERSION_STATE' });
    await expect(version(1, 'rewrap')).rejects.toMatchObject({ code: 'VERSION_STATE' });
    await h.change((key) => resumeVersion(key, 1));
    h.advance(1);
    expect((await version(1)).version).toBe(1);
  });

  it('opens only for the rewrap worker when it is compromised', async () => {
    await retireFirst();
    await h.change((key) => {
      const found = key.versions['1'];
      if (found === undefined) throw new Error('no version');
      const versions = { ...key.versions, '1': { ...found, state: 'COMPROMISED' as const } };
      return { ...key, versions, revision: key.revision + 1 };
    });
    await expect(version(1)).rejects.toMatchObject({ code: 'VERSION_STATE' });
    expect((await version(1, 'rewrap')).version).toBe(1);
  });

  it('is gone when it is destroyed', async () => {
    await makePending();
    await h.change((key) =>
      authorizeDestroy(key, 1, { at: h.clock.timestamp(), restoreEpoch: 0, approvedBy: null }),
    );
    await h.change((key) => finishDestroy(key, 1, h.clock.timestamp()));
    await expect(version(1)).rejects.toMatchObject({ name: 'KeyError', code: 'VERSION_DESTROYED' });
    expect(h.unwraps.calls).toBe(0);
  });
});

describe('a version that waits for its destruction', () => {
  const where = { recordSet: 'customers', recordId: ['7', 'b'], field: 'phone' };
  const canary = async () => (await h.ledger.getKey(TENANT, PURPOSE))?.canary;

  it('is served, alarms and is marked, once for a stampede', async () => {
    await makePending();
    const keks = await Promise.all(Array.from({ length: 50 }, () => version(1)));
    expect(keks.every((kek) => kek.version === 1)).toBe(true);
    expect(await canary()).toEqual({
      ...{ version: 1, at: h.clock.timestamp() },
      ...{ recordSet: null, recordId: null, field: null },
    });
    expect(h.writes.calls).toBe(1);
    expect(h.events).toEqual([
      {
        ...{ type: 'destroy-pending-used', tenant: TENANT, purpose: PURPOSE },
        ...{ version: 1, recordSet: null, marked: true },
      },
    ]);
    await version(1);
    expect(h.events).toHaveLength(1);
  });

  it('is marked again after a second, with the record that it was asked for', async () => {
    await makePending();
    await version(1);
    h.advance(1);
    await h.keyring.version(TENANT, PURPOSE, 1, 'rewrap', where);
    expect(await canary()).toEqual({ version: 1, at: h.clock.timestamp(), ...where });
    expect(h.events).toMatchObject([{ recordSet: null }, { recordSet: 'customers' }]);
    // All that was written is the mark: nobody's change of the key is lost by it.
    expect(await stateOf(1)).toBe('DESTROY_PENDING');
  });

  it('is marked by whoever opens a value of it, with the value named', async () => {
    const cipher = createFieldCipher({ keyring: h.keyring, purposes: () => PURPOSE });
    const context = { tenant: TENANT, ...where };
    const envelope = await cipher.seal(context, Buffer.from('x'));
    await makePending();
    h.advance(300);
    expect(Buffer.from(await cipher.open(context, envelope)).toString()).toBe('x');
    expect(await canary()).toMatchObject(where);
  });

  it('cannot be authorized from then on, and is called off by whoever looks', async () => {
    await makePending();
    await version(1);
    const authorization = { at: h.clock.timestamp(), restoreEpoch: 0, approvedBy: null };
    await expect(h.change((key) => authorizeDestroy(key, 1, authorization))).rejects.toMatchObject({
      code: 'VERSION_STATE',
      message: expect.stringContaining('asked for'),
    });
    await h.change((key) => cancelDestroy(key, 1));
    expect(await stateOf(1)).toBe('RETIRING');
    expect(usedVersions(await h.change((key) => key))).toEqual([]);
  });

  it('cannot be authorized by whoever read the key before it was marked', async () => {
    await makePending();
    const read = await h.ledger.getKey(TENANT, PURPOSE);
    await version(1);
    if (read === null) throw new Error('no key');
    const authorized = authorizeDestroy(read, 1, {
      at: h.clock.timestamp(),
      restoreEpoch: 0,
      approvedBy: null,
    });
    await expect(h.ledger.replaceKey(authorized)).rejects.toMatchObject({ code: 'REVISION_CONFLICT' });
    expect((await h.ledger.getKey(TENANT, PURPOSE))?.versions['1']?.destroyAuthorizedAt).toBeNull();
  });

  it('is served when it cannot be marked, and tried again after a second', async () => {
    await makePending();
    h.writes.error = new LedgerError('LEDGER_DENIED', 'read only');
    for (let i = 0; i < 5; i++) expect((await version(1)).version).toBe(1);
    expect(h.events).toMatchObject([{ type: 'destroy-pending-used', marked: false }]);
    expect(await canary()).toBeNull();
    h.writes.error = null;
    h.advance(1);
    await version(1);
    expect(await canary()).not.toBeNull();
  });

  it('is marked once its destruction is authorized, too, and is not called off any more', async () => {
    await makePending();
    const authorization = { at: h.clock.timestamp(), restoreEpoch: 0, approvedBy: null };
    await h.change((key) => authorizeDestroy(key, 1, authorization));
    expect((await version(1)).version).toBe(1);
    expect(h.events).toMatchObject([{ marked: true }]);
    expect(usedVersions(await h.change((key) => key))).toEqual([]);
  });
});

describe('a field cipher', () => {
  const context = { tenant: TENANT, recordSet: 'customers', recordId: ['1'], field: 'phone' };
  const cipher = () => createFieldCipher({ keyring: h.keyring, purposes: () => PURPOSE });
  const plaintext = Buffer.from('+49 30 1234567');

  it('opens what it sealed, before and after a rotation', async () => {
    const old = await cipher().seal(context, plaintext);
    await h.rotate('r');
    h.advance(300);
    const young = await cipher().seal(context, plaintext);
    for (const envelope of [old, young]) {
      expect(Buffer.from(await cipher().open(context, envelope))).toEqual(plaintext);
    }
  });

  it('opens nothing in another context, and nothing that is no envelope', async () => {
    const envelope = await cipher().seal(context, plaintext);
    await expect(cipher().open({ ...context, field: 'email' }, envelope)).rejects.toMatchObject({
      code: 'DECRYPTION_FAILED',
    });
    await expect(cipher().open(context, plaintext)).rejects.toMatchObject({ code: 'ENVELOPE_MALFORMED' });
  });

  it('asks for the key of the purpose that the record set has', async () => {
    const other = createFieldCipher({ keyring: h.keyring, purposes: (recordSet) => `of-${recordSet}` });
    await expect(other.seal(context, plaintext)).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
      message: expect.stringContaining('of-customers'),
    });
  });
});
