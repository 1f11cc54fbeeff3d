import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { kidOf } from '../../../../shared/envelope/kek.ts';
import { readCatalog } from '../../../../shared/records/postgres/catalog.ts';
import { plaintextPage } from '../../../../shared/records/postgres/sql/adoption.ts';
import { stalePage } from '../../../../shared/records/postgres/sql/rows.ts';
import { readShape } from '../../../../shared/records/postgres/table.ts';
import { asQueryable, type Statement } from '../../../../shared/records/postgres/transaction.ts';
import { KEY_ID, listAll } from '../../../contracts/record-store.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';
import { INT_KEY, makeFixture, recordSetConfig } from '../../../support/postgres-records.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

const ROWS = 6_000;
const SCAN = 100;
const RARE = { tenant: 'rare', keyId: KEY_ID };
/** Far apart, and none near the start. */
const RARE_IDS = ['2500', '4999', '5000', '5990'];

/** A table of one large tenant and one with four records. */
async function makeTable(index = '') {
  const fixture = await makeFixture(postgres, INT_KEY, { scanRows: SCAN });
  const { table } = fixture;
  await postgres.admin.query(`INSERT INTO ${table} (id, tenant, secret, secret_plain)
    SELECT i, CASE WHEN i::text = ANY ('{${RARE_IDS}}') THEN 'rare' ELSE 'large' END, '\\x00', 'x'
    FROM generate_series(1, ${ROWS}) AS i`);
  if (index !== '') await postgres.admin.query(index.replaceAll('%T', table));
  await postgres.admin.query(`VACUUM ANALYZE ${table}`);
  const config = recordSetConfig(table, INT_KEY);
  const catalog = await readCatalog(asQueryable(postgres.admin), table);
  if (catalog === undefined) throw new Error('The table is not there.');
  return { fixture, shape: readShape(config, catalog).shape };
}

interface PlanNode {
  readonly 'Relation Name'?: string | undefined;
  readonly 'Actual Rows': number;
  readonly 'Rows Removed by Filter'?: number | undefined;
  readonly Plans?: readonly PlanNode[] | undefined;
}
const nodeSchema: z.ZodType<PlanNode> = z.object({
  'Relation Name': z.string().optional(),
  'Actual Rows': z.number(),
  'Rows Removed by Filter': z.number().optional(),
  get Plans() {
    return z.array(nodeSchema).optional();
  },
});
const planSchema = z.tuple([z.object({ 'QUERY PLAN': z.tuple([z.object({ Plan: nodeSchema })]) })]);

async function rowsRead({ text, values = [] }: Statement): Promise<number> {
  const { rows } = await postgres.admin.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${text}`, [...values]);
  const count = (node: PlanNode): number =>
    (node['Relation Name'] === undefined ? 0 : node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) +
    (node.Plans ?? []).reduce((sum, plan) => sum + count(plan), 0);
  return count(planSchema.parse(rows)[0]['QUERY PLAN'][0].Plan);
}

const USELESS = {
  'no index': '',
  'an index that leads with the key': 'CREATE INDEX ON %T (id, tenant)',
  'a partial index': `CREATE INDEX ON %T (tenant, id) WHERE tenant <> 'x'`,
  'an index on an expression': 'CREATE INDEX ON %T (lower(tenant), id)',
  'an index that is not valid':
    "CREATE INDEX ON %T (tenant, id); UPDATE pg_index SET indisvalid = false WHERE indrelid = '%T'::regclass AND NOT indisprimary",
};

describe('a listing of a tenant with few rows in a large table', () => {
  it.each(Object.entries(USELESS))('reads no more than a page at a time with %s', async (_, index) => {
    const { fixture, shape } = await makeTable(index);
    const bounds = { range: { from: null, to: null }, limit: 10, scan: SCAN };
    expect(await rowsRead(stalePage(shape, RARE, kidOf(KEY_ID, 2), bounds))).toBe(SCAN);
    expect(await rowsRead(plaintextPage(shape, RARE, bounds))).toBe(SCAN);

    const [segment = ''] = await fixture.store.segments(RARE, 1);
    let pages = 0;
    const keys = await listAll(async (after, limit) => {
      pages += 1;
      return fixture.store.listStale(RARE, 2, segment, after, limit);
    }, 10);
    expect(keys).toEqual(RARE_IDS.map((id) => [id]));
    expect(pages).toBe(ROWS / SCAN + 1);
    // The cursor goes past rows of others, and pages end at the limit of hits all the same.
    const first = await fixture.store.listStale(RARE, 2, segment, null, 10);
    expect(first).toEqual({ keys: [], cursor: fixture.store.cursorAfter([String(SCAN)]) });
    const two = await fixture.store.listStale(RARE, 2, segment, fixture.store.cursorAfter(['4990']), 2);
    expect(two).toEqual({ keys: [['4999'], ['5000']], cursor: fixture.store.cursorAfter(['5000']) });
    await fixture.close();
  });

  it('reads that tenant alone where an index leads with the tenant', async () => {
    const { fixture, shape } = await makeTable('CREATE INDEX ON %T (tenant, id)');
    const bounds = { range: { from: null, to: null }, limit: 10, scan: SCAN };
    expect(await rowsRead(stalePage(shape, RARE, kidOf(KEY_ID, 2), bounds))).toBe(RARE_IDS.length);
    const [segment = ''] = await fixture.store.segments(RARE, 1);
    const page = await fixture.store.listStale(RARE, 2, segment, null, 10);
    expect(page).toEqual({ keys: RARE_IDS.map((id) => [id]), cursor: null });
    await fixture.close();
  });
});
