import { createSecretKey, type KeyObject, randomFillSync } from 'node:crypto';
import type { RandomFill } from '../../shared/envelope/types.ts';
import { ProviderError, type ProviderErrorCode } from '../../shared/errors/errors.ts';
import { contextBytes, sealKey, unsealKey } from '../../shared/providers/local/seal-key.ts';
import type {
  KekContext,
  RootKeyProvider,
  RootKeyState,
  WrappedKek,
} from '../../shared/providers/root-key-provider.ts';

/** A root-key provider in memory whose root keys can be disabled, rotated and replaced, held to the port's contract. */

export interface TestRootKey {
  state: RootKeyState;
  materialExpiresAt: string | null;
  /** By id; the last one is current. */
  readonly materials: Map<string, KeyObject>;
}

export interface TestRootKeys {
  readonly provider: RootKeyProvider;
  readonly keys: ReadonlyMap<string, TestRootKey>;
  /** Root keys that the provider cannot be asked for. */
  readonly silent: Set<string>;
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

const CODES: Readonly<Partial<Record<RootKeyState, ProviderErrorCode>>> = {
  DISABLED: 'ROOT_KEY_DISABLED',
  PENDING_DELETION: 'ROOT_KEY_PENDING_DELETION',
  PENDING_IMPORT: 'ROOT_KEY_PENDING_IMPORT',
  NOT_FOUND: 'ROOT_KEY_NOT_FOUND',
};

/** `random` left out: that of the machine. */
export function createTestRootKeys(
  region = 'eu-central-1',
  random: RandomFill = (buffer) => randomFillSync(buffer),
): TestRootKeys {
  const randomBytes = (length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    random(bytes);
    return bytes;
  };
  const keys = new Map<string, TestRootKey>();
  const silent = new Set<string>();
  const ofTenant = new Map<string, string>();
  const calls: string[] = [];

  const usable = (rootKeyId: string): TestRootKey => {
    const key = keys.get(rootKeyId);
    if (silent.has(rootKeyId) || key?.state === 'UNAVAILABLE')
      throw new ProviderError('PROVIDER_UNAVAILABLE', 'Out of reach', { retryable: true });
    if (key === undefined) throw new ProviderError('UNWRAP_FAILED', 'It does not unwrap');
    const code = CODES[key.state];
    if (code !== undefined) throw new ProviderError(code, `${rootKeyId} is ${key.state}`);
    return key;
  };
  const rootKeyFor = (tenant: string): string => {
    const [first = ''] = keys.keys();
    return ofTenant.get(tenant) ?? first;
  };
  const wrap = (kek: Uint8Array, context: KekContext): WrappedKek => {
    const rootKeyId = rootKeyFor(context.tenant);
    const [materialId, material] = [...usable(rootKeyId).materials].at(-1) ?? [];
    if (material === undefined || materialId === undefined) throw new Error('no material');
    const wrapped = sealKey(kek, material, aad(rootKeyId, context), random);
    return { rootKeyId, materialId, wrapped };
  };
  const unwrap = ({ rootKeyId, wrapped }: WrappedKek, context: KekContext): Uint8Array => {
    for (const material of usable(rootKeyId).materials.values()) {
      const kek = unsealKey(wrapped, material, aad(rootKeyId, context));
      if (kek !== null) return kek;
    }
    throw new ProviderError('UNWRAP_FAILED', 'It does not unwrap');
  };

  const self: TestRootKeys = {
    keys,
    silent,
    ofTenant,
    calls,
    sabotage: false,
    add() {
      const id = `${String(keys.size + 1).padStart(8, '0')}-aaaa-4aaa-8aaa-${randomBytes(6).toString('hex')}`;
      const rootKeyId = `arn:aws:kms:${region}:111122223333:key/${id}`;
      keys.set(rootKeyId, { state: 'ENABLED', materialExpiresAt: null, materials: new Map() });
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
        return wrap(randomBytes(32), context);
      },
      async unwrapKek(wrapped, context) {
        calls.push('unwrapKek');
        return createSecretKey(unwrap(wrapped, context));
      },
      async rewrapKek(wrapped, context) {
        calls.push('rewrapKek');
        const kek = unwrap(wrapped, context);
        return wrap(self.sabotage ? randomBytes(32) : kek, context);
      },
      async inspectRootKey(rootKeyId) {
        calls.push('inspectRootKey');
        if (silent.has(rootKeyId))
          throw new ProviderError('PROVIDER_UNAVAILABLE', 'Out of reach', { retryable: true });
        const key = keys.get(rootKeyId);
        const nothing = {
          materialId: null,
          materialExpiresAt: null,
          deletionAt: null,
          automaticRotation: null,
        };
        if (key === undefined) return { rootKeyId, state: 'NOT_FOUND', ...nothing };
        const { state, materialExpiresAt, materials } = key;
        return {
          ...nothing,
          rootKeyId,
          state,
          materialExpiresAt,
          materialId: [...materials.keys()].at(-1) ?? null,
        };
      },
      async destroyKek() {
        calls.push('destroyKek');
      },
      async check() {
        usable(rootKeyFor(''));
      },
    },
  };
  self.add();
  return self;
}

function aad(rootKeyId: string, { tenant, purpose, keyId, version }: KekContext): Uint8Array {
  return contextBytes('test kek', [rootKeyId, tenant, purpose, keyId, version]);
}
