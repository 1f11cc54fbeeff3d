import { z } from 'zod';
import type { Clock } from '../../clock/clock.ts';
import { RecordStoreError } from '../../errors/errors.ts';
import type { AdoptableStore, RecordStore } from '../record-store.ts';
import type { Catalog } from './catalog.ts';
import type { TableConnection } from './connection.ts';
import { dropPlaintext } from './drop-plaintext.ts';
import { queryPage } from './read.ts';
import { assertChanges, pageBounds, readPlaintext } from './records.ts';
import { applyChanges, fillingBytes, plaintextInputs } from './replace.ts';
import { addColumns, adoptable, beginAlter, plaintextPage, tenantNames } from './sql/adoption.ts';
import { readShape } from './table.ts';
import { inTransaction, NO_QUERY_TIMEOUT } from './transaction.ts';

export interface AdoptionOptions {
  readonly scanRows: number;
  readonly lockTimeoutMs: number;
  readonly clock: Clock;
}

type Adoption = Omit<AdoptableStore, keyof RecordStore>;

export function createAdoption(connection: TableConnection, options: AdoptionOptions): Adoption {
  return {
    hasPlaintext: () => connection.guard(async () => adoptable((await connection.survey()).shape).length > 0),

    prepareAdoption: () => connection.guard(() => prepareAdoption(connection, options.lockTimeoutMs)),

    tenants: () => connection.guard(() => listTenants(connection)),

    listPlaintext: (scope, segment, after, limit, until) => {
      // A plaintext column that is new since the shape was read would go unseen, and no statement would fail.
      if (after === null) connection.forgetShape();
      return connection.run(async (shape) => {
        const bounds = pageBounds(shape, segment, after, limit, until, options.scanRows);
        if (adoptable(shape).length === 0) return { keys: [], cursor: null };
        return queryPage(connection.db, plaintextPage(shape, scope, bounds), bounds);
      });
    },

    readPlaintext: (keys) => connection.run((shape) => readPlaintext(connection.db, shape, keys)),

    fill: (changes) =>
      connection.run(async (shape) => {
        assertChanges(shape, changes);
        return applyChanges(connection.db, shape, changes, fillingBytes, (batch) =>
          plaintextInputs(shape, batch),
        );
      }),

    dropPlaintext: (verify, onProgress) =>
      connection.guard(() => dropPlaintext(connection, options, verify, onProgress)),
  };
}

async function prepareAdoption(
  connection: TableConnection,
  lockTimeoutMs: number,
): Promise<readonly string[]> {
  const { config, pool } = connection;
  const { catalog } = await connection.survey();
  const has = (name: string | undefined) => catalog.columns.some((column) => column.name === name);
  const missing = config.fields
    .filter(({ column, plaintextColumn }) => !has(column) && has(plaintextColumn))
    .map(({ column }) => column);
  // What the table would be with them must be right before anything is changed.
  connection.assertNone(readShape(config, withColumns(catalog, missing)).problems);
  if (missing.length === 0) return [];

  const sql = addColumns(config.table, missing);
  if (!catalog.isOwner) throw connection.notOwner('add the envelope columns', sql);
  await inTransaction(pool, beginAlter(lockTimeoutMs), (db) =>
    db.query({ text: sql, query_timeout: NO_QUERY_TIMEOUT }),
  );
  connection.forgetShape();
  return missing;
}

function withColumns(catalog: Catalog, names: readonly string[]): Catalog {
  const made = {
    type: 'bytea',
    maxLength: null,
    notNull: false,
    deterministic: true,
    generated: false,
    canSelect: true,
    canUpdate: true,
  };
  return { ...catalog, columns: [...catalog.columns, ...names.map((name) => ({ name, ...made }))] };
}

const tenantsSchema = z.array(z.object({ tenant: z.string().nullable() }));
const LONGEST_TENANT = 256;

async function listTenants(connection: TableConnection): Promise<readonly string[]> {
  const { config, db, recordSet } = connection;
  if ('fixed' in config.tenant) return [config.tenant.fixed];
  const { column } = config.tenant;
  const { catalog, problems } = await connection.survey();
  if (!catalog.columns.some(({ name }) => name === column)) connection.assertNone(problems);
  const query = { ...tenantNames(config.table, column), query_timeout: NO_QUERY_TIMEOUT };
  return tenantsSchema.parse((await db.query(query)).rows).map(({ tenant }) => {
    if (tenant === null || tenant === '' || tenant.length > LONGEST_TENANT) {
      const what =
        tenant === null ? 'NULL' : tenant === '' ? 'empty' : `longer than ${LONGEST_TENANT} characters`;
      throw new RecordStoreError(
        'TENANT_INVALID',
        `Record set "${recordSet}", table "${config.table}": tenant column "${column}" is ${what} in some row.`,
        { remedy: 'Give every row its tenant, or declare a fixed tenant.' },
      );
    }
    return tenant;
  });
}
