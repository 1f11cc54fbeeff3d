import type { Clock } from '../clock/clock.ts';
import { monotonicNow } from '../clock/system.ts';
import { createKek, type Kek } from '../envelope/index.ts';
import { ConfigError, KeyError, KeyturnError } from '../errors/errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RootKeyProvider, WrappedKek } from '../providers/root-key-provider.ts';
import { type Aged, type AgedCacheLimits, createAgedCache, LoadTooSlow } from './aged-cache.ts';
import type { KeyVersion, TenantKey } from './key.ts';
import { keyCheck, keyCheckFailed } from './key-check.ts';
import type { Keyring, RecordRef } from './keyring.ts';
import { mayOpen, maySeal, type Permission } from './permission.ts';
import { markUse } from './rescue.ts';

export type KeyringEvent =
  /** A key or KEK could not be read again; `served`: it is past its greatest age and was used all the same. */
  | {
      readonly type: 'refresh-failed';
      readonly what: 'key' | 'kek';
      readonly id: string;
      readonly code: string;
      readonly served: boolean;
    }
  /** Alarm: a version that waits for its destruction was asked for. */
  | {
      readonly type: 'destroy-pending-used';
      readonly tenant: string;
      readonly purpose: string;
      readonly version: number;
      /** Null: the caller did not say. */
      readonly recordSet: string | null;
      /** Whether the ledger took it down; then its purge is called off. */
      readonly marked: boolean;
    }
  /** Alarm: a KEK was wrapped anew and does not unwrap; the wrapping that was proved did. */
  | {
      readonly type: 'former-wrapping-used';
      readonly tenant: string;
      readonly purpose: string;
      readonly version: number;
      /** Why the new one did not. */
      readonly code: string;
    };

export interface KeyringOptions {
  readonly ledger: Pick<Ledger, 'getKey' | 'markUsed'>;
  readonly provider: RootKeyProvider;
  readonly clock: Pick<Clock, 'now'>;
  /** Greatest age of the active version, and the time within which a revocation is noticed. The barrier counts on it. */
  readonly maxAgeSeconds: number;
  /** Greatest number of seals between two readings of a key. */
  readonly maxUses: number;
  /** Reads again in the background when an entry has this long to live. Default: a fifth of maxAgeSeconds. */
  readonly refreshAheadSeconds?: number;
  /** In an outage, how long what is cached still opens. At least maxAgeSeconds. */
  readonly hardCeilingSeconds: number;
  /** Keys that are cached; twice as many KEKs. Default 10,000. */
  readonly maxKeys?: number;
  /** Must not throw; what it throws is dropped. */
  readonly onEvent?: (event: KeyringEvent) => void;
  /** Milliseconds that never go back; for simulations. */
  readonly monotonic?: () => number;
}

const SECOND = 1000;

interface KeyName {
  readonly tenant: string;
  readonly purpose: string;
}

/** A keyring that caches keys and KEKs in memory. Safe to share between concurrent requests. */
export function createKeyring(options: KeyringOptions): Keyring {
  const { ledger, provider } = options;
  const monotonic = options.monotonic ?? monotonicNow;
  const report = reporter(options.onEvent);
  const keys = createAgedCache<TenantKey>(cacheLimits(options, 'key', monotonic, report));
  const keks = createAgedCache<Kek>(cacheLimits(options, 'kek', monotonic, report));
  const rescues = new Map<string, { readonly at: number; readonly done: Promise<void> }>();

  const loadKey = (name: KeyName) => async (): Promise<TenantKey> => {
    const key = await ledger.getKey(name.tenant, name.purpose);
    if (key !== null) return key;
    throw new KeyError(
      'KEY_NOT_FOUND',
      `Tenant "${name.tenant}" has no key for the purpose "${name.purpose}"`,
      { remedy: 'Create it with `keyturn keys create`' },
    );
  };

  /** The permission by what is cached; a refusal that may be outdated is decided on what the ledger says now. */
  async function permit(
    name: KeyName,
    read: () => Promise<Aged<TenantKey>>,
    judge: (key: TenantKey) => Permission,
    where?: RecordRef,
  ): Promise<{ readonly entry: Aged<TenantKey>; readonly version: KeyVersion }> {
    const loads = keys.lastLoad();
    let entry = await read();
    let permission = judge(entry.value);
    const outdated = (recheck: 'always' | 'second' | 'never') =>
      recheck === 'always' || (recheck === 'second' && keys.age(entry) >= SECOND);
    if (!permission.granted && outdated(permission.recheck)) {
      entry = await keys.after(idOf(name), loadKey(name), loads);
      permission = judge(entry.value);
    }
    if (!permission.granted) throw permission.error;
    if (permission.alarm) await rescue(name, permission.version.version, where);
    return { entry, version: permission.version };
  }

  /** One mark a second and version, however many requests ask. */
  async function rescue(name: KeyName, version: number, where: RecordRef | undefined): Promise<void> {
    const id = `${idOf(name)}/${version}`;
    const running = rescues.get(id);
    if (running !== undefined && monotonic() - running.at < SECOND) return running.done;
    const done = markUse(ledger, options.clock, name, version, where).then((marked) => {
      const recordSet = where?.recordSet ?? null;
      report({ type: 'destroy-pending-used', ...name, version, recordSet, marked });
    });
    rescues.set(id, { at: monotonic(), done });
    return done;
  }

  async function unwrap(key: TenantKey, version: KeyVersion): Promise<Kek> {
    const id = kekId(key.keyId, version.version);
    return (await keks.tolerant(id, () => unwrapKek(provider, key, version, report))).value;
  }

  return {
    active: (tenant, purpose) =>
      failClosed({ tenant, purpose }, async (name) => {
        // Unwrapping takes time; the pointer must still be fresh when the KEK is handed out.
        for (let tries = 0; tries < 2; tries++) {
          const read = () => keys.fresh(idOf(name), loadKey(name));
          const { entry, version } = await permit(name, read, maySeal);
          const kek = await unwrap(entry.value, version);
          if (keys.isFresh(entry)) return kek;
        }
        throw new LoadTooSlow('Unwrapping a KEK took longer than the greatest age of its key');
      }),
    version: (tenant, purpose, number, use = 'open', where) =>
      failClosed({ tenant, purpose }, async (name) => {
        const read = () => keys.tolerant(idOf(name), loadKey(name));
        const judge = (key: TenantKey) => {
          const permission = mayOpen(key, number, use);
          if (!permission.granted) keks.delete(kekId(key.keyId, number));
          return permission;
        };
        const { entry, version } = await permit(name, read, judge, where);
        return unwrap(entry.value, version);
      }),
    clear: () => {
      keys.clear();
      keks.clear();
      rescues.clear();
    },
  };
}

async function unwrapKek(
  provider: RootKeyProvider,
  key: TenantKey,
  version: KeyVersion,
  report: (event: KeyringEvent) => void,
): Promise<Kek> {
  const { keyId, tenant, purpose } = key;
  const { wrapped, formerWrapped } = version;
  if (wrapped === null) {
    throw new KeyError('VERSION_DESTROYED', `Version ${version.version} of key ${keyId} is destroyed`);
  }
  if (version.provider !== provider.name) {
    throw new KeyError(
      'KEY_UNAVAILABLE',
      `Version ${version.version} of key ${keyId} is wrapped by the provider ${version.provider}, not ${provider.name}`,
    );
  }
  const unwrapWith = async (wrapping: WrappedKek): Promise<Kek> => {
    const kek = await provider.unwrapKek(wrapping, { tenant, purpose, keyId, version: version.version });
    // Never hand out bytes that are not the proved ones: what they encrypt could not be opened again.
    if (keyCheck(kek, keyId, version.version) !== version.check) throw keyCheckFailed(keyId, version.version);
    return createKek({ keyId, version: version.version, key: kek });
  };
  try {
    return await unwrapWith(wrapped);
  } catch (error) {
    if (formerWrapped === null || !leavesFormer(error)) throw error;
    const kek = await unwrapWith(formerWrapped).catch((again: unknown) => {
      // An outage passes, and what is cached may bridge it.
      throw again instanceof KeyturnError && again.retryable ? again : error;
    });
    report({ type: 'former-wrapping-used', tenant, purpose, version: version.version, code: codeOf(error) });
    return kek;
  }
}

/**
 * Errors of a wrapping that nobody has proved yet: it is wrong, or its root key is not configured or not allowed here. Not
 * the state of its root key: whoever disables that has revoked it, and no other wrapping gets around that.
 */
const LEAVES_FORMER: readonly string[] = ['UNWRAP_FAILED', 'KEY_CHECK_FAILED', 'PROVIDER_DENIED'];

function leavesFormer(error: unknown): boolean {
  return error instanceof KeyturnError && LEAVES_FORMER.includes(error.code);
}

/** An outage that no cached entry bridges is KEY_UNAVAILABLE; every other error passes as it is. */
async function failClosed(name: KeyName, work: (name: KeyName) => Promise<Kek>): Promise<Kek> {
  try {
    return await work(name);
  } catch (cause) {
    const outage = cause instanceof LoadTooSlow || (cause instanceof KeyturnError && cause.retryable);
    if (!outage) throw cause;
    throw new KeyError(
      'KEY_UNAVAILABLE',
      `The key of tenant "${name.tenant}" for "${name.purpose}" cannot be read now`,
      {
        cause,
        retryable: true,
        remedy: 'Try again; the cause says what is out of reach',
      },
    );
  }
}

function cacheLimits(
  options: KeyringOptions,
  what: 'key' | 'kek',
  monotonic: () => number,
  report: (event: KeyringEvent) => void,
): AgedCacheLimits {
  const { maxAgeSeconds, hardCeilingSeconds, maxUses, maxKeys = 10_000 } = options;
  const refreshAheadSeconds = options.refreshAheadSeconds ?? maxAgeSeconds / 5;
  const ordered =
    refreshAheadSeconds >= 0 && refreshAheadSeconds < maxAgeSeconds && maxAgeSeconds <= hardCeilingSeconds;
  if (!ordered || !(maxUses >= 1) || !(maxKeys >= 1)) {
    throw new ConfigError(
      'CONFIG_INVALID',
      'A keyring needs 0 <= refreshAheadSeconds < maxAgeSeconds <= hardCeilingSeconds, and maxUses and maxKeys of at least 1',
    );
  }
  return {
    clock: options.clock,
    monotonic,
    maxAge: maxAgeSeconds * SECOND,
    refreshAhead: refreshAheadSeconds * SECOND,
    hardCeiling: hardCeilingSeconds * SECOND,
    // AES-KW has no nonce, so a KEK has no limit of uses; only the pointer's are counted.
    maxUses: what === 'key' ? maxUses : Number.POSITIVE_INFINITY,
    maxEntries: what === 'key' ? maxKeys : 2 * maxKeys,
    onTrouble: (id, error, served) =>
      report({ type: 'refresh-failed', what, id, code: codeOf(error), served }),
  };
}

function reporter(onEvent: KeyringOptions['onEvent']): (event: KeyringEvent) => void {
  return (event) => {
    try {
      onEvent?.(event);
    } catch {
      // A failing log must not make a key unusable.
    }
  };
}

function idOf({ tenant, purpose }: KeyName): string {
  return JSON.stringify([tenant, purpose]);
}

function kekId(keyId: string, version: number): string {
  return `${keyId}/${version}`;
}

function codeOf(error: unknown): string {
  return error instanceof KeyturnError ? error.code : 'UNKNOWN';
}
