import type { Deps } from '../../shared/deps/deps.ts';
import { adoptionNotOffered } from '../../shared/records/dynamodb/no-adoption.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { requestAdoption } from '../../shared/rotation/request-job.ts';
import { CliError } from './cli-error.ts';
import { mapConcurrently } from './concurrent.ts';
import { type Asked, askAll, requestedBy } from './follow.ts';
import type { Output } from './output.ts';
import { tellingRefusal } from './refused.ts';

/** What an adoption needs before its jobs: columns, tenants and their keys. */

const KEYS_AT_ONCE = 4;

/** The tenants whose rows are adopted. Throws TENANT_NOT_FOUND for one that has no row. */
export async function tenantsToAdopt(
  deps: Deps,
  recordSet: string,
  tenant: string | undefined,
): Promise<readonly string[]> {
  const tenants = await deps.recordSets.store(recordSet).tenants();
  if (tenant === undefined) return tenants;
  if (tenants.includes(tenant)) return [tenant];
  throw new CliError('TENANT_NOT_FOUND', `Record set "${recordSet}" has no row of tenant "${tenant}"`, {
    remedy: 'Leave --tenant out to adopt the rows of every tenant.',
  });
}

export interface AskedAdoptions {
  readonly keysCreated: number;
  readonly asked: readonly Asked<string>[];
}

export async function askForAdoptions(
  deps: Deps,
  out: Output,
  recordSet: string,
  tenants: readonly string[],
): Promise<AskedAdoptions> {
  const { purpose } = deps.recordSets.config(recordSet);
  const keys = await mapConcurrently(tenants, KEYS_AT_ONCE, (tenant) => createKey(deps, tenant, purpose));
  const asked = await askAll(tenants, (tenant) =>
    tellingRefusal(deps, out, 'adopt', { tenant, recordSet }, () =>
      requestAdoption(deps, { tenant, recordSet, requestedBy: requestedBy() }),
    ),
  );
  return { keysCreated: keys.filter(({ created }) => created).length, asked };
}

/** The fields that declare a plaintext column. Throws INPUT_INVALID where none does, ADOPTION_NOT_OFFERED on DynamoDB. */
export function adoptedFields(
  { config, recordSets }: Pick<Deps, 'config' | 'recordSets'>,
  recordSet: string,
): readonly { readonly column: string; readonly plaintextColumn: string }[] {
  if (config.stores[recordSets.config(recordSet).store]?.type === 'dynamodb')
    throw adoptionNotOffered(recordSet);
  const fields = recordSets
    .config(recordSet)
    .fields.flatMap(({ column, plaintextColumn }) =>
      plaintextColumn === undefined ? [] : [{ column, plaintextColumn }],
    );
  if (fields.length > 0) return fields;
  throw new CliError('INPUT_INVALID', `No field of record set "${recordSet}" declares a plaintextColumn`, {
    remedy: 'Name in the configuration which column each field takes over.',
  });
}
