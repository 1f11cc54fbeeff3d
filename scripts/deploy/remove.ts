import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ledgerTableName } from '../../infrastructure/names.ts';
import type { Stage } from '../../infrastructure/stage.ts';
import { LedgerError } from '../../shared/errors/errors.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { createDynamoDbLedger } from '../../shared/ledger/dynamodb-ledger.ts';
import { CliError } from '../cli/cli-error.ts';
import { confirm } from '../cli/confirm.ts';
import { counted } from '../cli/format.ts';
import type { Output } from '../cli/output.ts';
import { runOsls } from './osls.ts';

/** Deletes the stack. Refused while a key has a version that is not destroyed: its values would have nobody to open them. */
export async function removeStage(stage: Stage, folder: string, out: Output, yes: boolean): Promise<void> {
  const alive = await readLiveKeys(stage);
  if (alive.length > 0) {
    throw new CliError(
      'KEYS_NOT_DESTROYED',
      `${counted(alive.length, 'key')} of ${stage.service} ${alive.length === 1 ? 'is' : 'are'} not destroyed, such as ${alive
        .slice(0, 3)
        .map(({ tenant, purpose }) => `${tenant}/${purpose}`)
        .join(', ')}`,
      { remedy: 'Destroy what they encrypt, then their versions; docs/deploy.md#removal says how.' },
    );
  }
  await confirm(
    out,
    `The stack ${stage.service} in ${stage.deployment.region} is deleted. Its ledger and root key stay.`,
    yes,
  );
  await runOsls({ folder, arguments: ['remove', '--stage', stage.name], verbose: true });
}

/** Keys with a version that still opens values. No table, no keys: the stack was never finished. */
async function readLiveKeys(stage: Stage): Promise<TenantKey[]> {
  const client = new DynamoDBClient({ region: stage.deployment.region });
  try {
    const ledger = createDynamoDbLedger({ client, tableName: ledgerTableName(stage) });
    return liveKeys(await ledger.scanKeys());
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'LEDGER_NOT_FOUND') return [];
    throw error;
  } finally {
    client.destroy();
  }
}

export function liveKeys(keys: readonly TenantKey[]): TenantKey[] {
  return keys.filter(({ versions }) => Object.values(versions).some(({ state }) => state !== 'DESTROYED'));
}
