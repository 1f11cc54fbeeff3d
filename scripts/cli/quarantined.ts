import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { QuarantinedRecord } from '../../shared/ledger/ledger.ts';
import { mapConcurrently } from './concurrent.ts';
import { listKeysOf } from './key-words.ts';
import { whyQuarantined } from './quarantine-words.ts';

const READERS = 8;

export async function listQuarantined(
  deps: Deps,
  tenant: string | undefined,
): Promise<{ readonly keys: readonly TenantKey[]; readonly records: readonly QuarantinedRecord[] }> {
  const keys = await listKeysOf(deps, tenant);
  const lists = await mapConcurrently(keys, READERS, ({ keyId }) => deps.ledger.listQuarantined(keyId));
  return { keys: keys.filter((_, i) => (lists[i] ?? []).length > 0), records: lists.flat() };
}

export function quarantinedJson(record: QuarantinedRecord): object {
  const { tenant, purpose, recordSet, recordId, field, code, version, jobId, at } = record;
  return { tenant, purpose, recordSet, recordId, field, code, why: whyQuarantined(code), version, jobId, at };
}
