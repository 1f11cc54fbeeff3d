import type pg from 'pg';
import { createFieldCipher, type FieldCipher } from '../../shared/keyring/field-cipher.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import type { TestStack } from './stack.ts';

/** A small table of one tenant's people, sealed by the library. */

export const TENANT = 'acme';
export const PEOPLE = 'people';

export const PEOPLE_SET = {
  [PEOPLE]: {
    store: 'main',
    table: 'people',
    key: ['id'],
    tenant: { fixed: TENANT },
    fields: [{ name: 'email', column: 'email_enc' }],
  },
};

export interface People {
  readonly pool: pg.Pool;
  readonly cipher: FieldCipher;
  write(id: number, email: string): Promise<void>;
  open(id: number): Promise<string>;
  envelope(id: number): Promise<Buffer>;
  setRaw(id: number, bytes: Uint8Array): Promise<void>;
}

export async function createPeople(stack: Pick<TestStack, 'pool' | 'deps'>, count: number): Promise<People> {
  const { pool, deps } = stack;
  await pool.query('CREATE TABLE IF NOT EXISTS people (id int PRIMARY KEY, email_enc bytea)');
  await createKey(deps, TENANT, 'default');
  const cipher = createFieldCipher({ keyring: deps.keyring, purposes: () => 'default' });
  const context = (id: number) => ({
    tenant: TENANT,
    recordSet: PEOPLE,
    recordId: [String(id)],
    field: 'email',
  });
  const envelope = async (id: number) => {
    const { rows } = await pool.query('SELECT email_enc FROM people WHERE id = $1', [id]);
    return Buffer.from(rows[0].email_enc);
  };
  const setRaw = async (id: number, bytes: Uint8Array) => {
    await pool.query(
      'INSERT INTO people VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET email_enc = EXCLUDED.email_enc',
      [id, Buffer.from(bytes)],
    );
  };
  const people: People = {
    pool,
    cipher,
    envelope,
    setRaw,
    write: async (id, email) => setRaw(id, await cipher.seal(context(id), Buffer.from(email))),
    open: async (id) => Buffer.from(await cipher.open(context(id), await envelope(id))).toString(),
  };
  for (let id = 1; id <= count; id++) await people.write(id, emailOf(id));
  return people;
}

export function emailOf(id: number): string {
  return `person-${id}@example.org`;
}
