import { randomFillSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createKeyring,
  type KeyringEvent,
  type KeyringOptions,
} from '../../../shared/keyring/cached-keyring.ts';
import type { TenantKey } from '../../../shared/keyring/key.ts';
import { proveKek } from '../../../shared/keyring/key-check.ts';
import type { Keyring } from '../../../shared/keyring/keyring.ts';
import {
  activateVersion,
  addVersion,
  createTenantKey,
  highestVersion,
  nextVersion,
  proveVersion,
} from '../../../shared/keyring/versions.ts';
import type { Ledger } from '../../../shared/ledger/ledger.ts';
import { initKeystore } from '../../../shared/providers/local/keystore.ts';
import { createLocalProvider } from '../../../shared/providers/local/local-provider.ts';
import { initKeyFile } from '../../../shared/providers/local/secret.ts';
import type { RootKeyProvider } from '../../../shared/providers/root-key-provider.ts';
import { createFakeClock, type FakeClock } from '../../support/clock.ts';
import { startTestDynamoDb } from '../../support/dynamodb.ts';

/** A keyring on a real ledger and a real provider, with faults in between, and a clock that stands still. */

export const KEY_ID = '01900000-0000-7000-8000-000000000001';
export const TENANT = 'acme';
export const PURPOSE = 'default';

/** What stands between the keyring and one of its ports. */
export interface Fault {
  calls: number;
  /** Calls that wait for their answer. */
  open: number;
  /** Thrown instead of the answer. */
  error: Error | null;
  /** Runs before the call. */
  before: () => Promise<void> | void;
  /** Runs after the answer was read and before it is returned. */
  after: () => Promise<void> | void;
}

export interface Harness {
  readonly ledger: Ledger;
  readonly clock: FakeClock;
  readonly reads: Fault;
  /** Marks in the ledger. */
  readonly writes: Fault;
  readonly unwraps: Fault;
  readonly events: KeyringEvent[];
  readonly keyring: Keyring;
  advance(seconds: number): void;
  change(decide: (key: TenantKey) => TenantKey): Promise<TenantKey>;
  /** A whole rotation up to the activation. */
  rotate(rotationId: string): Promise<TenantKey>;
  makeKeyring(options?: Partial<KeyringOptions>): Keyring;
  /** What was begun in the background is done, or held up by a test. */
  settled(): Promise<void>;
}

export interface Stack {
  makeHarness(options?: Partial<KeyringOptions>): Promise<Harness>;
  stop(): Promise<void>;
}

export async function startStack(): Promise<Stack> {
  const dynamodb = await startTestDynamoDb();
  const dir = await mkdtemp(join(tmpdir(), 'keyturn-keyring-'));
  const random = (buffer: Uint8Array) => {
    randomFillSync(buffer);
  };
  const options = {
    keystorePath: join(dir, 'keystore.json'),
    secret: { keyFilePath: join(dir, 'key') },
    random,
  };
  await initKeyFile(options.secret.keyFilePath, random);
  await initKeystore(options);
  const provider = await createLocalProvider(options);
  return {
    makeHarness: async (keyringOptions = {}) =>
      makeHarness(await dynamodb.makeLedger(), provider, keyringOptions),
    stop: async () => {
      await dynamodb.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function makeHarness(
  ledger: Ledger,
  provider: RootKeyProvider,
  keyringOptions: Partial<KeyringOptions>,
): Promise<Harness> {
  const clock = createFakeClock();
  let elapsed = 0;
  const [reads, writes, unwraps] = [newFault(), newFault(), newFault()];
  const events: KeyringEvent[] = [];
  const makeKeyring = (more: Partial<KeyringOptions> = {}) =>
    createKeyring({
      ledger: {
        getKey: faulty(reads, (tenant: string, purpose: string) => ledger.getKey(tenant, purpose)),
        markUsed: faulty(writes, (...args: Parameters<Ledger['markUsed']>) => ledger.markUsed(...args)),
      },
      provider: {
        ...provider,
        unwrapKek: faulty(unwraps, (...args: Parameters<RootKeyProvider['unwrapKek']>) =>
          provider.unwrapKek(...args),
        ),
      },
      clock,
      monotonic: () => elapsed,
      maxAgeSeconds: 300,
      maxUses: 1_000_000,
      refreshAheadSeconds: 60,
      hardCeilingSeconds: 3600,
      onEvent: (event) => events.push(event),
      ...keyringOptions,
      ...more,
    });
  const change = async (decide: (key: TenantKey) => TenantKey): Promise<TenantKey> => {
    const key = await ledger.getKey(TENANT, PURPOSE);
    if (key === null) throw new Error('no key');
    const next = decide(key);
    if (next !== key) await ledger.replaceKey(next);
    return next;
  };
  const newVersion = async (keyId: string, version: number) => ({
    wrapped: await provider.generateKek({ tenant: TENANT, purpose: PURPOSE, keyId, version }),
    provider: provider.name,
    at: clock.timestamp(),
  });
  const prove = async (key: TenantKey): Promise<string> => {
    const version = highestVersion(key);
    const wrapped = key.versions[String(version)]?.wrapped;
    if (!wrapped) throw new Error('nothing to prove');
    const kek = await provider.unwrapKek(wrapped, {
      tenant: TENANT,
      purpose: PURPOSE,
      keyId: key.keyId,
      version,
    });
    return proveKek(kek, key.keyId, version, null);
  };

  const names = { keyId: KEY_ID, tenant: TENANT, purpose: PURPOSE };
  const created = createTenantKey(names, await newVersion(KEY_ID, 1));
  await ledger.createKey(created);
  const check = await prove(created);
  await change((key) => proveVersion(key, 1, check, clock.timestamp()));
  await change((key) => activateVersion(key, 1, clock.timestamp(), null));

  return {
    ledger,
    clock,
    reads,
    writes,
    unwraps,
    events,
    keyring: makeKeyring(),
    makeKeyring,
    settled: async () => {
      // A call that follows on another begins within a turn of the event loop.
      for (let quiet = 0; quiet < 3; quiet += 1) {
        await new Promise((resolve) => setImmediate(resolve));
        if (reads.open + writes.open + unwraps.open > 0) quiet = -1;
      }
    },
    change,
    advance: (seconds) => {
      elapsed += seconds * 1000;
      clock.jumpTo(clock.now() + seconds * 1000);
    },
    rotate: async (rotationId) => {
      const before = await change((key) => key);
      const added = {
        ...(await newVersion(before.keyId, nextVersion(before))),
        rotationId,
        leaves: before.active,
      };
      const locked = await change((key) => addVersion(key, added));
      const version = highestVersion(locked);
      const found = await prove(locked);
      await change((key) => proveVersion(key, version, found, clock.timestamp()));
      return change((key) => activateVersion(key, version, clock.timestamp(), rotationId));
    },
  };
}

function newFault(): Fault {
  return { calls: 0, open: 0, error: null, before: () => {}, after: () => {} };
}

function faulty<A extends unknown[], R>(
  fault: Fault,
  call: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  return async (...args) => {
    fault.calls += 1;
    await fault.before();
    if (fault.error !== null) throw fault.error;
    fault.open += 1;
    const answer = await call(...args).finally(() => {
      fault.open -= 1;
    });
    await fault.after();
    return answer;
  };
}
