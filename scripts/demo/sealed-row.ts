import type { FieldCipher } from '../../shared/keyring/field-cipher.ts';
import { FIELDS, type FieldName, plaintext, RECORD_SET } from './records.ts';

/** A client's fields as the application stores and reads them. */

function context(id: number, tenant: string, field: FieldName) {
  return { tenant, recordSet: RECORD_SET, recordId: [String(id)], field };
}

/** An envelope a field, in the fields' order. */
export function sealRow(
  cipher: FieldCipher,
  id: number,
  tenant: string,
  generation: number,
): Promise<Buffer[]> {
  return Promise.all(
    FIELDS.map(async (field) =>
      Buffer.from(
        await cipher.seal(context(id, tenant, field), Buffer.from(plaintext(id, field, generation))),
      ),
    ),
  );
}

/** The plaintexts of a row of the table, in the fields' order. */
export async function openRow(
  cipher: FieldCipher,
  id: number,
  tenant: string,
  row: unknown,
): Promise<string[]> {
  const columns = new Map(Object.entries(row ?? {}));
  return Promise.all(
    FIELDS.map(async (field) => {
      const envelope: unknown = columns.get(`${field}_enc`);
      if (!(envelope instanceof Uint8Array)) throw new Error(`Record ${id} has no ${field}`);
      return Buffer.from(await cipher.open(context(id, tenant, field), envelope)).toString();
    }),
  );
}

export function matches(id: number, generation: number, values: readonly string[]): boolean {
  return FIELDS.every((field, i) => values[i] === plaintext(id, field, generation));
}
