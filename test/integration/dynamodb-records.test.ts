import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AttributeValue,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Stack, startStack } from '../../local/stack.ts';
import { embeddedDynamoDb } from '../../local/stack-info.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { createConfiguredKeyring } from '../../shared/deps/compose.ts';
import { inspect } from '../../shared/envelope/index.ts';
import { createFieldCipher, type FieldCipher } from '../../shared/keyring/field-cipher.ts';
import { silentLog } from '../../shared/log/log.ts';
import { keyItem, storedValue } from '../../shared/records/dynamodb/attributes.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import {
  createRecordTable,
  recordSetConfig,
  STRING_KEY,
  type TableCase,
  TENANT_PARTITION,
} from '../support/dynamodb-records.ts';
import { eventually, jobEnded, makeStackFolder } from '../support/stack.ts';

const TENANTS = ['acme', 'globex'];
const RECORDS = 120;

/** Found by an index, by the partition key, and by a scan. */
const SETS: Readonly<Record<string, TableCase>> = {
  customers: { ...STRING_KEY, index: { name: 'by-tenant' } },
  notes: { ...TENANT_PARTITION, textFields: true },
  letters: STRING_KEY,
};

interface Place {
  readonly set: string;
  readonly tenant: string;
  readonly key: readonly string[];
}

const PLACES: readonly Place[] = Object.entries(SETS).flatMap(([set, { keyOf, tenant, key }]) =>
  TENANTS.flatMap((name, t) =>
    Array.from({ length: RECORDS }, (_, n) => {
      const [first = '', ...rest] = keyOf(n * TENANTS.length + t);
      const partitioned = 'column' in tenant && tenant.column === key[0]?.name;
      return { set, tenant: name, key: [partitioned ? name : first, ...rest] };
    }),
  ),
);

describe('records in DynamoDB', () => {
  let dir: string;
  let stack: Stack;
  let client: DynamoDBClient;
  let cipher: FieldCipher;
  /** What the application committed last, by place. */
  const texts = PLACES.map(() => '');
  let writing = true;
  let writes = 0;

  const caseOf = ({ set }: Place): TableCase => {
    const found = SETS[set];
    if (found === undefined) throw new Error('no such set');
    return found;
  };
  const contextOf = ({ set, tenant, key }: Place, field: string) => ({
    ...{ tenant, recordSet: set, recordId: key, field },
  });
  const write = async (i: number, text: string) => {
    const place = PLACES[i];
    if (place === undefined) throw new Error('no such place');
    const { key, fields, textFields, tenant } = caseOf(place);
    const Item: Record<string, AttributeValue> = {
      ...('column' in tenant ? { [tenant.column]: { S: place.tenant } } : {}),
      ...keyItem(place.key, key),
    };
    for (const { name, column } of fields) {
      const sealed = await cipher.seal(contextOf(place, name), Buffer.from(`${text} ${name}`));
      Item[column] = storedValue(textFields ? 'S' : 'B', sealed);
    }
    texts[i] = text;
    await client.send(new PutItemCommand({ TableName: `app-${place.set}`, Item }));
  };
  const read = async (i: number) => {
    const place = PLACES[i];
    if (place === undefined) throw new Error('no such place');
    const { key, fields } = caseOf(place);
    const { Item = {} } = await client.send(
      new GetItemCommand({
        TableName: `app-${place.set}`,
        Key: keyItem(place.key, key),
        ConsistentRead: true,
      }),
    );
    return Promise.all(
      fields.map(async ({ name, column }) => {
        const value = Item[column];
        const envelope = value?.B ?? Buffer.from(value?.S ?? '', 'base64url');
        const text = Buffer.from(await cipher.open(contextOf(place, name), envelope)).toString();
        return { text, version: inspect(envelope).version, expected: `${texts[i]} ${name}` };
      }),
    );
  };

  beforeAll(async () => {
    const recordSets = Object.fromEntries(
      Object.entries(SETS).map(([name, tableCase]) => [name, recordSetConfig(`app-${name}`, tableCase)]),
    );
    const folder = await makeStackFolder({
      stores: { tables: { type: 'dynamodb' } },
      recordSets,
      rotation: { chunkSize: 25, segments: 2 },
    });
    dir = folder.dir;
    stack = await startStack({
      ...{ dir: join(dir, 'stack'), environment: {}, log: silentLog, sweepSeconds: 1 },
      loaded: await loadConfig(folder.configPath),
    });
    client = new DynamoDBClient(embeddedDynamoDb(stack.info.endpoints));
    for (const [name, tableCase] of Object.entries(SETS))
      await createRecordTable(client, `app-${name}`, tableCase);
    for (const tenant of TENANTS) await createKey(stack.deps, tenant, 'default');
    cipher = createFieldCipher({ keyring: createConfiguredKeyring(stack.deps), purposes: () => 'default' });
    for (const i of PLACES.keys()) await write(i, `first ${i}`);
  });

  afterAll(async () => {
    writing = false;
    client.destroy();
    await stack.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('are as declared, and there is no PostgreSQL', async () => {
    expect(stack.postgres).toBeNull();
    for (const name of Object.keys(SETS)) await stack.deps.recordSets.store(name).check();
  });

  it.each([
    ['rewrap', 2],
    ['re-encrypt', 3],
  ] as const)(
    '%s while the application writes: all is counted on the new version, the old one is purged, every value opens',
    async (mode, to) => {
      const application = (async () => {
        for (let i = 7; writing; i = (i + 11) % PLACES.length) {
          await write(i, `later ${writes}`);
          writes += 1;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();
      const asked = await Promise.all(
        TENANTS.map((tenant) =>
          requestRotation(stack.deps, { tenant, purpose: 'default', mode, requestedBy: 'test' }),
        ),
      );
      for (const { job: begun } of asked) {
        const job = await jobEnded(stack, begun.jobId);
        expect(job).toMatchObject({ status: 'COMPLETED', to, blocker: null });
        const total = sumProgress(await readProgress(stack.deps, job));
        expect(total).toMatchObject({ quarantined: 0, remaining: 0, listed: true });
        expect(total.rewrapped).toBeGreaterThan(0);
        expect(job.census).toMatchObject({ stale: 0, malformed: 0, foreign: 0, onVersion: 0 });
        for (const [name, { fields }] of Object.entries(SETS)) {
          expect(job.census?.coverage[name]).toMatchObject({
            rows: RECORDS,
            versions: { [to]: RECORDS * fields.length },
          });
        }
        await eventually(async () => {
          const key = await stack.deps.ledger.getKey(job.tenant, 'default');
          return key?.versions[String(job.from)]?.state === 'DESTROYED';
        }, `the purge of version ${job.from}`);
      }
      writing = false;
      await application;
      writing = true;
      expect(writes).toBeGreaterThan(10);
      for (const i of PLACES.keys()) {
        for (const { text, version, expected } of await read(i)) {
          expect(text).toBe(expected);
          expect(version).toBe(to);
        }
      }
    },
  );
});
