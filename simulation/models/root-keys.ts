import { createSecretKey, type KeyObject, randomFillSync } from 'node:crypto';
import type { RandomFill } from '../../shared/envelope/types.ts';
import {
  type KmsOperation,
  stateError,
  unwrapFailed,
} from '../../shared/providers/aws-kms/translate-error.ts';
import { contextBytes, sealKey, unsealKey } from '../../shared/providers/local/seal-key.ts';
import type {
  KekContext,
  RootKeyProvider,
  RootKeyState,
  WrappedKek,
} from '../../shared/providers/root-key-provider.ts';
import { kmsError } from '../adapter-errors.ts';
import type { Faults } from '../faults.ts';

/**
 * A root-key provider in memory whose root keys can be disabled, rotated and replaced, held to the port's contract. Its
 * errors are those of AWS KMS.
 */

export interface TestRootKey {
  state: RootKeyState;
  materialExpiresAt: string | null;
  deletionAt: string | null;
  /** By id; the last one is current. */
  readonly materials: Map<string, KeyObject>;
}

export interface TestRootKeys {
  readonly provider: RootKeyProvider;
  readonly keys: ReadonlyMap<string, TestRootKey>;
  /** Root keys that the provider cannot be asked for. */
  readonly silent: Set<string>;
  /** Root keys whose grant was revoked. */
  readonly denied: Set<string>;
  /** By tenant; the others have the first root key. */
  readonly ofTenant: Map<string, string>;
  /** Names of the methods that were called, in order. */
  readonly calls: string[];
  /** What the next rewrapped KEKs are, instead of what was wrapped before: a provider that fails in silence. */
  sabotage: boolean;
  add(): string;
  set(rootKeyId: string, state: RootKeyState): void;
  rotate(rootKeyId: string): void;
}

export interface TestRootKeysOptions {
  readonly region?: string;
  /** Left out: that of the machine. */
  readonly random?: RandomFill;
  /** Told of every KEK that is made, before anybody has it. */
  readonly onKek?: (context: KekContext, kek: Uint8Array, wrapped: WrappedKek) => void;
  /** Whether this version's KEK cannot be unwrapped now, for a reason that passes. */
  readonly fails?: (context: KekContext) => boolean;
}

export function createTestRootKeys({
  region = 'eu-central-1',
  random = (buffer) => randomFillSync(buffer),
  onKek = () => {},
  fails = () => false,
}: TestRootKeysOptions = {}): TestRootKeys {
  const randomBytes = (length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    random(bytes);
    return bytes;
  };
  const keys = new Map<string, TestRootKey>();
  const silent = new Set<string>();
  const denied = new Set<string>();
  const ofTenant = new Map<string, string>();
  const calls: string[] = [];

  const assertReached = (rootKeyId: string, operation: KmsOperation): void => {
    if (silent.has(rootKeyId)) throw kmsError('TimeoutError', operation, rootKeyId);
    if (denied.has(rootKeyId)) throw kmsError('AccessDeniedException', operation, rootKeyId);
  };
  const usable = (rootKeyId: string, operation: KmsOperation): TestRootKey => {
    assertReached(rootKeyId, operation);
    const key = keys.get(rootKeyId);
    // No root key that is configured: nobody is asked.
    if (key === undefined) throw unwrapFailed();
    if (key.state !== 'ENABLED') throw stateError(key.state, rootKeyId);
    return key;
  };
  const rootKeyFor = (tenant: string): string => {
    const [first = ''] = keys.keys();
    return ofTenant.get(tenant) ?? first;
  };
  const wrap = (kek: Uint8Array, context: KekContext, operation: KmsOperation): WrappedKek => {
    const rootKeyId = rootKeyFor(context.tenant);
    const [materialId, material] = [...usable(rootKeyId, operation).materials].at(-1) ?? [];
    if (material === undefined || materialId === undefined) throw new Error('no material');
    const wrapped = sealKey(kek, material, aad(rootKeyId, context), random);
    return { rootKeyId, materialId, wrapped };
  };
  const unwrap = (
    { rootKeyId, wrapped }: WrappedKek,
    context: KekContext,
    operation: KmsOperation,
  ): Uint8Array => {
    const { materials } = usable(rootKeyId, operation);
    if (fails(context)) throw kmsError('KMSInternalException', operation, rootKeyId);
    for (const material of materials.values()) {
      const kek = unsealKey(wrapped, material, aad(rootKeyId, context));
      if (kek !== null) return kek;
    }
    throw unwrapFailed();
  };

  const self: TestRootKeys = {
    keys,
    silent,
    denied,
    ofTenant,
    calls,
    sabotage: false,
    add() {
      const id = `${String(keys.size + 1).padStart(8, '0')}-aaaa-4aaa-8aaa-${randomBytes(6).toString('hex')}`;
      const rootKeyId = `arn:aws:kms:${region}:111122223333:key/${id}`;
      keys.set(rootKeyId, {
        state: 'ENABLED',
        materialExpiresAt: null,
        deletionAt: null,
        materials: new Map(),
      });
      self.rotate(rootKeyId);
      return rootKeyId;
    },
    set(rootKeyId, state) {
      const key = keys.get(rootKeyId);
      if (key === undefined) throw new Error('no such root key');
      key.state = state;
    },
    rotate(rootKeyId) {
      const materials = keys.get(rootKeyId)?.materials;
      materials?.set(`material-${materials.size + 1}`, createSecretKey(randomBytes(32)));
    },
    provider: {
      name: 'test',
      rootKeyFor,
      async generateKek(context) {
        calls.push('generateKek');
        const kek = randomBytes(32);
        const wrapped = wrap(kek, context, 'GenerateDataKeyWithoutPlaintext');
        onKek(context, kek, wrapped);
        return wrapped;
      },
      async unwrapKek(wrapped, context) {
        calls.push('unwrapKek');
        return createSecretKey(unwrap(wrapped, context, 'Decrypt'));
      },
      async rewrapKek(wrapped, context) {
        calls.push('rewrapKek');
        const kek = unwrap(wrapped, context, 'ReEncrypt');
        return wrap(self.sabotage ? randomBytes(32) : kek, context, 'ReEncrypt');
      },
      async inspectRootKey(rootKeyId) {
        calls.push('inspectRootKey');
        assertReached(rootKeyId, 'DescribeKey');
        const key = keys.get(rootKeyId);
        const nothing = {
          materialId: null,
          materialExpiresAt: null,
          deletionAt: null,
          automaticRotation: null,
        };
        if (key === undefined) return { rootKeyId, state: 'NOT_FOUND', ...nothing };
        const { state, materialExpiresAt, deletionAt, materials } = key;
        return {
          ...nothing,
          rootKeyId,
          state,
          materialExpiresAt,
          deletionAt,
          materialId: [...materials.keys()].at(-1) ?? null,
        };
      },
      async destroyKek() {
        calls.push('destroyKek');
      },
      async check() {
        usable(rootKeyFor(''), 'DescribeKey');
      },
    },
  };
  self.add();
  return self;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/**
 * `kms-one-version-fails`, for `fails`: whether it does is decided when a version is unwrapped for the first time. It then
 * fails at once or some hours later, for minutes or hours, and whoever asks.
 */
export function versionsThatFail(
  faults: Faults,
  now: () => number,
): (context: Pick<KekContext, 'keyId' | 'version'>) => boolean {
  const outages = new Map<string, { readonly from: number; readonly until: number } | null>();
  const outageOf = (name: string) => {
    if (!faults.fires('kms-one-version-fails', name)) return null;
    const { dice } = faults;
    const from = now() + (dice.chance(0.3) ? 0 : dice.between(0, 24 * HOUR));
    return { from, until: from + dice.between(MINUTE, 6 * HOUR) };
  };
  return ({ keyId, version }) => {
    if (faults.stopped) return false;
    const name = `${keyId} ${version}`;
    const known = outages.get(name);
    const outage = known === undefined ? outageOf(name) : known;
    outages.set(name, outage);
    return outage !== null && now() >= outage.from && now() < outage.until;
  };
}

function aad(rootKeyId: string, { tenant, purpose, keyId, version }: KekContext): Uint8Array {
  return contextBytes('test kek', [rootKeyId, tenant, purpose, keyId, version]);
}
