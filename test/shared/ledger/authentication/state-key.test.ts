import { DeleteItemCommand, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { configSchema } from '../../../../shared/config/schema.ts';
import { ProviderError } from '../../../../shared/errors/errors.ts';
import { type Item, marshalItem } from '../../../../shared/ledger/attribute-values.ts';
import { itemKeys } from '../../../../shared/ledger/attributes.ts';
import { STATE_CONTEXT } from '../../../../shared/ledger/authentication/state-context.ts';
import { createState, type State } from '../../../../shared/ledger/authentication/state-key.ts';
import { createDynamoDbLedger } from '../../../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../../../shared/ledger/table.ts';
import type { RootKeyProvider } from '../../../../shared/providers/root-key-provider.ts';
import { createKey } from '../../../../shared/rotation/create-key.ts';
import { createMemoryLedger } from '../../../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../../../simulation/models/root-keys.ts';
import { testKey } from '../../../contracts/ledger.ts';
import { createFakeClock } from '../../../support/clock.ts';
import { startTestDynamoDb } from '../../../support/dynamodb.ts';
import { prepareWorlds } from '../../../support/memory-world.ts';

const dynamodb = await startTestDynamoDb();
const worlds = await prepareWorlds();
afterAll(async () => {
  await worlds.remove();
  await dynamodb.stop();
});

const BYTES = Buffer.from('what is to be authenticated');
const STATE = marshalItem(itemKeys.state());

let tableName: string;
let roots: TestRootKeys;
beforeEach(async () => {
  tableName = dynamodb.newTableName();
  await createLedgerTable(dynamodb.client, tableName);
  roots = createTestRootKeys();
});

/** One process. */
function open(options: { provider?: RootKeyProvider; mayMake?: boolean } = {}): State {
  const { provider = roots.provider, mayMake = true } = options;
  return createState({ client: dynamodb.client, tableName, provider, clock: createFakeClock(), mayMake });
}

async function stored(): Promise<Item | undefined> {
  const { Item: item } = await dynamodb.client.send(new GetItemCommand({ TableName: tableName, Key: STATE }));
  return item;
}

const write = (item: Item) => dynamodb.client.send(new PutItemCommand({ TableName: tableName, Item: item }));

describe('the state key', () => {
  it('is made when something is first written, once, and is the same in every process', async () => {
    expect(await stored()).toBeUndefined();
    const processes = Array.from({ length: 10 }, () => open());
    const macs = await Promise.all(processes.map((state) => state.mac(BYTES)));
    expect(new Set(macs).size).toBe(1);
    expect(Buffer.from(macs[0] ?? '', 'base64url')).toHaveLength(32);
    expect(await open({ mayMake: false }).verify(BYTES, macs[0] ?? '')).toBe(true);
    expect(await open().verify(Buffer.from('something else'), macs[0] ?? '')).toBe(false);
    expect(await open().verify(BYTES, 'AAAA')).toBe(false);
  });

  it('is not what its root key wraps: that is not a MAC key', async () => {
    const mac = await open().mac(BYTES);
    const item = await stored();
    expect(JSON.stringify(item)).not.toContain(mac);
    expect(item?.['wrapped']?.M?.['rootKeyId']?.S).toBe(roots.provider.rootKeyFor(STATE_CONTEXT.tenant));
  });

  it('is unwrapped once a process', async () => {
    await open().mac(BYTES);
    let calls = 0;
    const counting = {
      ...roots.provider,
      unwrapKek: async (...args: Parameters<RootKeyProvider['unwrapKek']>) => {
        calls += 1;
        return roots.provider.unwrapKek(...args);
      },
    };
    const state = open({ provider: counting });
    const mac = await state.mac(BYTES);
    await Promise.all(Array.from({ length: 20 }, () => state.verify(BYTES, mac)));
    expect(calls).toBe(1);
  });

  it('is looked at without being made: that it is there, and that its root key opens it', async () => {
    expect(await open().check()).toBe(false);
    expect(await stored()).toBeUndefined();
    const state = open();
    const ledger = createDynamoDbLedger({ client: dynamodb.client, tableName, authenticator: state });
    await ledger.createKey(testKey());
    expect(await open().check()).toBe(true);
    roots.set(roots.provider.rootKeyFor(STATE_CONTEXT.tenant), 'DISABLED');
    await expect(open().check()).rejects.toMatchObject({ code: 'LEDGER_UNAVAILABLE' });
    await dynamodb.client.send(new DeleteItemCommand({ TableName: tableName, Key: STATE }));
    await expect(open().check()).rejects.toMatchObject({ code: 'STATE_FORGED' });
  });

  it('is made by nobody who has no right to', async () => {
    await expect(open({ mayMake: false }).mac(BYTES)).rejects.toMatchObject({ code: 'LEDGER_NOT_FOUND' });
    expect(await stored()).toBeUndefined();
  });

  it('that was deleted is not replaced in silence: what it authenticated could not be told from forgeries', async () => {
    const state = open();
    await createDynamoDbLedger({ client: dynamodb.client, tableName, authenticator: state }).createKey(
      testKey(),
    );
    await dynamodb.client.send(new DeleteItemCommand({ TableName: tableName, Key: STATE }));
    const later = open();
    await expect(later.mac(BYTES)).rejects.toMatchObject({ code: 'STATE_FORGED' });
    const ledger = createDynamoDbLedger({ client: dynamodb.client, tableName, authenticator: open() });
    await expect(ledger.getKey('acme', 'default')).rejects.toMatchObject({ code: 'STATE_FORGED' });
  });

  it("cannot be replaced by a KEK of a tenant's, or by another of its own context", async () => {
    const mac = await open().mac(BYTES);
    const item = (await stored()) ?? {};
    const names = { keyId: STATE_CONTEXT.keyId, version: 1 };
    for (const context of [{ ...names, tenant: 'acme', purpose: 'default' }, STATE_CONTEXT]) {
      const wrapped = await roots.provider.generateKek(context);
      await write({ ...item, ...marshalItem({ wrapped }) });
      const state = open();
      await expect(state.verify(BYTES, mac)).rejects.toMatchObject({
        code: 'STATE_FORGED',
        retryable: false,
      });
    }
    await write(item);
    expect(await open().verify(BYTES, mac)).toBe(true);
  });
});

describe('a root key that cannot be used', () => {
  it('stops all who have not the key yet, with an error that passes', async () => {
    const warm = open();
    const mac = await warm.mac(BYTES);
    const rootKeyId = roots.provider.rootKeyFor(STATE_CONTEXT.tenant);
    roots.set(rootKeyId, 'DISABLED');
    const cold = open();
    await expect(cold.verify(BYTES, mac)).rejects.toMatchObject({
      name: 'LedgerError',
      code: 'LEDGER_UNAVAILABLE',
      retryable: true,
      message: expect.stringContaining('ROOT_KEY_DISABLED'),
    });
    expect(await warm.verify(BYTES, mac)).toBe(true);
    roots.set(rootKeyId, 'ENABLED');
    expect(await cold.verify(BYTES, mac)).toBe(true);
  });

  it('an outage too', async () => {
    const mac = await open().mac(BYTES);
    let down = true;
    const flaky = {
      ...roots.provider,
      unwrapKek: async (...args: Parameters<RootKeyProvider['unwrapKek']>) => {
        if (down) throw new ProviderError('PROVIDER_UNAVAILABLE', 'x', { retryable: true });
        return roots.provider.unwrapKek(...args);
      },
    };
    const state = open({ provider: flaky });
    await expect(state.verify(BYTES, mac)).rejects.toMatchObject({ retryable: true });
    down = false;
    expect(await state.verify(BYTES, mac)).toBe(true);
  });
});

describe('a root key that was replaced or has new material', () => {
  it('wraps the state key anew, and what was authenticated before stays genuine', async () => {
    const mac = await open().mac(BYTES);
    expect(await open().rewrap()).toBe(false);
    const rootKeyId = roots.provider.rootKeyFor(STATE_CONTEXT.tenant);
    roots.rotate(rootKeyId);
    expect(await open().rewrap()).toBe(true);
    expect((await stored())?.['formerWrapped']?.M).toBeDefined();
    expect(await open().verify(BYTES, mac)).toBe(true);
    // The next run finds it proved, and gives the former wrapping up.
    expect(await open().rewrap()).toBe(false);
    expect((await stored())?.['formerWrapped']?.NULL).toBe(true);
    expect(await open().rewrap()).toBe(false);
    expect(await open().verify(BYTES, mac)).toBe(true);
    expect((await stored())?.['revision']?.N).toBe('3');
  });

  it('has a way back until it is proved, also when the new one is gone', async () => {
    const mac = await open().mac(BYTES);
    const before = roots.provider.rootKeyFor(STATE_CONTEXT.tenant);
    const next = roots.add();
    roots.ofTenant.set(STATE_CONTEXT.tenant, next);
    expect(await open().rewrap()).toBe(true);
    expect((await stored())?.['wrapped']?.M?.['rootKeyId']?.S).toBe(next);
    roots.set(next, 'PENDING_DELETION');
    expect(await open().verify(BYTES, mac)).toBe(true);
    expect(await open().rewrap()).toBe(false);
    roots.ofTenant.set(STATE_CONTEXT.tenant, before);
    expect(await open().rewrap()).toBe(true);
    expect((await stored())?.['wrapped']?.M?.['rootKeyId']?.S).toBe(before);
    expect(await open().verify(BYTES, mac)).toBe(true);
  });

  it('never gives the working wrapping up for one that gives another key', async () => {
    const mac = await open().mac(BYTES);
    roots.rotate(roots.provider.rootKeyFor(STATE_CONTEXT.tenant));
    const before = await stored();
    const lying = { ...roots.provider, rewrapKek: () => roots.provider.generateKek(STATE_CONTEXT) };
    await expect(open({ provider: lying }).rewrap()).rejects.toMatchObject({ code: 'STATE_FORGED' });
    expect(await stored()).toEqual(before);
    expect(await open().verify(BYTES, mac)).toBe(true);
  });

  it('is not asked for a ledger that has no state key yet', async () => {
    expect(await open().rewrap()).toBe(false);
  });
});

describe("the state key's names", () => {
  it.each([
    [STATE_CONTEXT.tenant, 'default'],
    ['acme', STATE_CONTEXT.purpose],
  ])('no tenant %s has a key for %s', async (tenant, purpose) => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await expect(createKey(world.deps, tenant, purpose)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('no tenant of that name has a root key of its own', () => {
    const arn = 'arn:aws:kms:eu-central-1:111122223333:key/11111111-1111-4111-8111-111111111111';
    const parse = (tenant: string) =>
      configSchema.shape.provider.safeParse({
        type: 'aws-kms',
        rootKey: arn,
        tenantRootKeys: { [tenant]: arn },
      });
    expect(parse('acme').success).toBe(true);
    expect(parse(STATE_CONTEXT.tenant).success).toBe(false);
  });
});
