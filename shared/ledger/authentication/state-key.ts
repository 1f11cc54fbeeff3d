import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { z } from 'zod';
import type { Clock } from '../../clock/clock.ts';
import { type ErrorDetail, KeyturnError, LedgerError } from '../../errors/errors.ts';
import type { Timestamp } from '../../keyring/key.ts';
import { keyCheck } from '../../keyring/key-check.ts';
import type { RootKeyProvider, RootKeyStatus, WrappedKek } from '../../providers/root-key-provider.ts';
import { itemKeys, LIST_INDEX, LIST_KEY, LISTS, STORED_WITH } from '../attributes.ts';
import { wrappedKekSchema } from '../items.ts';
import { createOne, type Kind, readOne, replaceOne } from '../stored-items.ts';
import { createTableClient, type TableClient } from '../table-client.ts';
import { type Authenticator, createAuthenticator, type KeyUse } from './authenticator.ts';
import { STATE_CONTEXT } from './state-context.ts';

/**
 * The state key: 256 bits that authenticate the ledger and the queue, and nothing else. A KEK under the default root key,
 * never a customer's, in an item of its own; what authenticates is derived from it.
 */
const INFO = 'keyturn state mac v1';
const KEY_BYTES = 32;

interface StateKey {
  readonly wrapped: WrappedKek;
  /** What it was wrapped by before, until a later run has found that `wrapped` unwraps: the way back, as of every KEK. */
  readonly formerWrapped: WrappedKek | null;
  readonly provider: string;
  /** See key-check.ts: another wrapping must give the very same KEK. */
  readonly check: string;
  readonly createdAt: Timestamp;
  readonly revision: number;
}

const STATE_KEY: Kind<StateKey> = {
  name: 'state key',
  schema: z.strictObject({
    wrapped: wrappedKekSchema,
    formerWrapped: wrappedKekSchema.nullable(),
    provider: z.string(),
    check: z.string(),
    createdAt: z.iso.datetime(),
    revision: z.int().min(1),
  }),
  storedWith: STORED_WITH.created,
  keyOf: () => itemKeys.state(),
};

/** The port to the state key. */
export interface State extends Authenticator {
  /** False: there is none yet, and nothing that it would authenticate. Throws as `verify` where it cannot be used. */
  check(): Promise<boolean>;
  /** Has it wrapped anew when its root key was replaced or has newer material. False: there was nothing to do. */
  rewrap(): Promise<boolean>;
}

export interface StateOptions {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  readonly provider: RootKeyProvider;
  readonly clock: Pick<Clock, 'now'>;
  /** Whether it is made where there is none. */
  readonly mayMake: boolean;
}

/** Reads nothing yet. */
export function createState({ client, tableName, provider, clock, mayMake }: StateOptions): State {
  // Its own item has no MAC: it is what the root key authenticates.
  const table = createTableClient(client, tableName);
  const read = () => readOne(table, STATE_KEY, itemKeys.state());

  const make = async (): Promise<StateKey> => {
    if (!mayMake) {
      throw new LedgerError('LEDGER_NOT_FOUND', 'The ledger has no state key yet', {
        remedy: 'Make the first key with `keyturn keys create`',
      });
    }
    if (await hasKeys(table)) {
      const other = await read();
      if (other !== null) return other;
      throw stateKeyGone();
    }
    const wrapped = await provider.generateKek(STATE_CONTEXT);
    const check = checkOf(await provider.unwrapKek(wrapped, STATE_CONTEXT));
    const createdAt = new Date(clock.now()).toISOString();
    const made = { wrapped, formerWrapped: null, provider: provider.name, check, createdAt, revision: 1 };
    // Whoever was first has made it.
    return (await createOne(table, STATE_KEY, made)).item;
  };

  const load = async (use: KeyUse): Promise<KeyObject> => {
    const stored = await read();
    if (stored === null && use === 'verify') throw stateKeyGone();
    try {
      return derive(await unwrapEither(provider, stored ?? (await make())));
    } catch (error) {
      throw asLedgerError(error);
    }
  };

  return {
    ...createAuthenticator(load),
    async check() {
      const stored = await read();
      if (stored === null && !(await hasKeys(table))) return false;
      await load('verify');
      return true;
    },
    async rewrap() {
      const stored = await read();
      if (stored === null) return false;
      try {
        const current = await provider.inspectRootKey(provider.rootKeyFor(STATE_CONTEXT.tenant));
        const next = current.state === 'ENABLED' ? await rewrapped(provider, stored, current) : null;
        if (next === null) return false;
        // Proved before it takes the place of one that works.
        await unwrap(provider, stored, next.wrapped);
        await replaceOne(table, STATE_KEY, { ...stored, ...next, revision: stored.revision + 1 });
        return next.wrapped !== stored.wrapped;
      } catch (error) {
        throw asLedgerError(error);
      }
    },
  };
}

type Wrappings = Pick<StateKey, 'wrapped' | 'formerWrapped'>;

/** Null: there is nothing to do. */
async function rewrapped(
  provider: RootKeyProvider,
  { wrapped, formerWrapped }: StateKey,
  current: RootKeyStatus,
): Promise<Wrappings | null> {
  if (isUnder(current, wrapped)) return formerWrapped === null ? null : { wrapped, formerWrapped: null };
  // The former root key is the current one again: also when the one in between is gone.
  if (formerWrapped !== null && isUnder(current, formerWrapped))
    return { wrapped: formerWrapped, formerWrapped: null };
  const after = await provider.rewrapKek(wrapped, STATE_CONTEXT);
  // The provider has not come to its new material everywhere yet.
  const same = after.rootKeyId === wrapped.rootKeyId && after.materialId === wrapped.materialId;
  return same ? null : { wrapped: after, formerWrapped: wrapped };
}

function isUnder({ rootKeyId, materialId }: RootKeyStatus, wrapped: WrappedKek): boolean {
  return wrapped.rootKeyId === rootKeyId && (materialId === null || wrapped.materialId === materialId);
}

async function unwrapEither(provider: RootKeyProvider, key: StateKey): Promise<KeyObject> {
  const { wrapped, formerWrapped } = key;
  try {
    return await unwrap(provider, key, wrapped);
  } catch (error) {
    if (formerWrapped === null) throw error;
    return unwrap(provider, key, formerWrapped).catch(() => {
      throw error;
    });
  }
}

async function unwrap(
  provider: RootKeyProvider,
  { check, ...key }: StateKey,
  wrapped: WrappedKek,
): Promise<KeyObject> {
  if (key.provider !== provider.name) {
    throw new LedgerError(
      'LEDGER_UNAVAILABLE',
      `The state key is wrapped by the provider ${key.provider}, not ${provider.name}`,
    );
  }
  const kek = await provider.unwrapKek(wrapped, STATE_CONTEXT);
  if (checkOf(kek) !== check) throw notOurs();
  return kek;
}

function checkOf(kek: KeyObject): string {
  return keyCheck(kek, STATE_CONTEXT.keyId, STATE_CONTEXT.version);
}

/** HKDF-SHA-256 (RFC 5869) without a salt: the KEK is uniformly random. */
function derive(kek: KeyObject): KeyObject {
  const bytes = new Uint8Array(hkdfSync('sha256', kek, '', INFO, KEY_BYTES));
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

/** By the list, which may lag behind: it is only asked so that a state key that was deleted is not replaced in silence. */
async function hasKeys(table: TableClient): Promise<boolean> {
  const items = await table.query({
    index: LIST_INDEX,
    condition: '#list = :list',
    names: { '#list': LIST_KEY },
    values: { ':list': LISTS.keys },
    limit: 1,
  });
  return items.length > 0;
}

/** What cannot be verified is not used: whoever needs the key tries again when the root key can be used. */
function asLedgerError(cause: unknown): unknown {
  if (!(cause instanceof KeyturnError) || cause instanceof LedgerError) return cause;
  if (cause.code === 'UNWRAP_FAILED') return notOurs({ cause });
  return new LedgerError(
    'LEDGER_UNAVAILABLE',
    `The state key cannot be used: ${cause.code}: ${cause.message}`,
    {
      cause,
      retryable: true,
      remedy: cause.remedy ?? 'Nothing in the ledger can be verified until the root key can be used again',
    },
  );
}

function notOurs(detail: ErrorDetail = {}): LedgerError {
  return new LedgerError('STATE_FORGED', 'The state key is not the one that this ledger was written with', {
    remedy: 'Restore the item STATE#KEY from a backup, or the root key that wrapped it (docs/runbook.md).',
    ...detail,
  });
}

function stateKeyGone(): LedgerError {
  return new LedgerError(
    'STATE_FORGED',
    'The ledger has keys and no state key: nothing in it can be verified',
    {
      remedy: 'Restore the item STATE#KEY from a backup (docs/runbook.md).',
    },
  );
}
