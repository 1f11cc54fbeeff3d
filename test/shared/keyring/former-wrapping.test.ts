import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createConfiguredKeyring } from '../../../shared/deps/compose.ts';
import { ProviderError, type ProviderErrorCode } from '../../../shared/errors/errors.ts';
import type { LogFields } from '../../../shared/log/log.ts';
import { reconcileRootKeys } from '../../../shared/rotation/reconcile-root-keys.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../../simulation/models/root-keys.ts';
import { PURPOSE, prepareWorlds, TENANT, type World } from '../../support/memory-world.ts';

/** What a keyring does with a KEK that was wrapped anew, while nobody has proved the new wrapping. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

let world: World;
let rootKeys: TestRootKeys;
let former: string;
let next: string;
/** Instead of an answer of the provider, by the root key. */
let refusals: Map<string, ProviderErrorCode>;
let logged: { readonly message: string; readonly fields: LogFields | undefined }[];

beforeEach(async () => {
  rootKeys = createTestRootKeys();
  refusals = new Map();
  logged = [];
  world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider });
  former = rootKeys.provider.rootKeyFor(TENANT);
  next = rootKeys.add();
  rootKeys.ofTenant.set(TENANT, next);
});

const moveToNext = () => reconcileRootKeys(world.deps);

/** The one of an application. It logs as every deployed one does. */
function makeKeyring() {
  const write = (message: string, fields?: LogFields) => logged.push({ message, fields });
  return createConfiguredKeyring({
    ...world.deps,
    provider: {
      ...rootKeys.provider,
      unwrapKek: async (wrapped, context) => {
        const code = refusals.get(wrapped.rootKeyId);
        if (code === undefined) return rootKeys.provider.unwrapKek(wrapped, context);
        throw new ProviderError(code, 'It does not', { retryable: code === 'PROVIDER_UNAVAILABLE' });
      },
    },
    log: { info: write, warn: write, error: write },
  });
}

const toldOf = (code: string) => [
  {
    message: 'a KEK that was wrapped anew does not unwrap: its former wrapping did',
    fields: { tenant: TENANT, purpose: PURPOSE, version: 1, code },
  },
];

describe('a new wrapping that does not give the KEK', () => {
  it('because it is of another one: the proved wrapping beside it is used, and that is told', async () => {
    rootKeys.sabotage = true;
    await moveToNext();
    const keyring = makeKeyring();
    expect((await keyring.active(TENANT, PURPOSE)).version).toBe(1);
    expect((await keyring.version(TENANT, PURPOSE, 1)).version).toBe(1);
    expect(logged).toEqual(toldOf('KEY_CHECK_FAILED'));
  });

  it.each([
    ["the application's configuration does not name the new root key", 'UNWRAP_FAILED'],
    ["the new root key's policy does not let it unwrap", 'PROVIDER_DENIED'],
  ] as const)('because %s: so too', async (_, code) => {
    await moveToNext();
    refusals.set(next, code);
    expect((await makeKeyring().active(TENANT, PURPOSE)).version).toBe(1);
    expect(logged).toEqual(toldOf(code));
  });

  it('is used where it does', async () => {
    await moveToNext();
    refusals.set(former, 'PROVIDER_DENIED');
    expect((await makeKeyring().active(TENANT, PURPOSE)).version).toBe(1);
    expect(logged).toEqual([]);
  });

  it('is the only one once it was proved', async () => {
    await moveToNext();
    await reconcileRootKeys(world.deps);
    refusals.set(next, 'PROVIDER_DENIED');
    await expect(makeKeyring().active(TENANT, PURPOSE)).rejects.toMatchObject({ code: 'PROVIDER_DENIED' });
  });
});

describe('a new root key that was revoked, or is out of reach', () => {
  it.each([
    'ROOT_KEY_DISABLED',
    'ROOT_KEY_PENDING_DELETION',
    'ROOT_KEY_PENDING_IMPORT',
    'ROOT_KEY_NOT_FOUND',
    'ROOT_KEY_UNSUITABLE',
  ] as const)('%s: the former wrapping does not get around it', async (code) => {
    await moveToNext();
    refusals.set(next, code);
    rootKeys.calls.length = 0;
    await expect(makeKeyring().active(TENANT, PURPOSE)).rejects.toMatchObject({ code });
    expect(rootKeys.calls).toEqual([]);
  });

  it('an outage is waited out', async () => {
    await moveToNext();
    refusals.set(next, 'PROVIDER_UNAVAILABLE');
    rootKeys.calls.length = 0;
    await expect(makeKeyring().active(TENANT, PURPOSE)).rejects.toMatchObject({ code: 'KEY_UNAVAILABLE' });
    expect(rootKeys.calls).toEqual([]);
  });
});

describe('a former wrapping that does not give the KEK either', () => {
  it('the error is the one of the new wrapping; an outage is told as one', async () => {
    await moveToNext();
    refusals.set(next, 'UNWRAP_FAILED');
    refusals.set(former, 'ROOT_KEY_DISABLED');
    await expect(makeKeyring().active(TENANT, PURPOSE)).rejects.toMatchObject({ code: 'UNWRAP_FAILED' });
    refusals.set(former, 'PROVIDER_UNAVAILABLE');
    await expect(makeKeyring().active(TENANT, PURPOSE)).rejects.toMatchObject({
      code: 'KEY_UNAVAILABLE',
      retryable: true,
    });
    expect(logged).toEqual([]);
  });

  it('other bytes are never handed out', async () => {
    rootKeys.sabotage = true;
    await moveToNext();
    await world.changeKey((key) => ({
      ...key,
      revision: key.revision + 1,
      versions: Object.fromEntries(
        Object.entries(key.versions).map(([name, each]) => [name, { ...each, formerWrapped: each.wrapped }]),
      ),
    }));
    await expect(makeKeyring().active(TENANT, PURPOSE)).rejects.toMatchObject({ code: 'KEY_CHECK_FAILED' });
    expect(logged).toEqual([]);
  });
});
