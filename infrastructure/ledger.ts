import { LEDGER_BACKUP_DAYS, TABLE_DEFINITION } from '../shared/ledger/table.ts';
import type { Resources } from './cloudformation.ts';
import { ledgerTableName } from './names.ts';
import type { Stage } from './stage.ts';

/** The ledger's table. It outlives the stack: without it, no KEK can be unwrapped and every value is lost. */
export function ledger(stage: Stage): Resources {
  return {
    LedgerTable: {
      Type: 'AWS::DynamoDB::Table',
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        TableName: ledgerTableName(stage),
        ...TABLE_DEFINITION,
        // With the AWS managed key: a key of our own that is disabled by mistake would lock up what unwraps every KEK, and
        // nothing in here is secret that the root key has not wrapped.
        SSESpecification: { SSEEnabled: true, SSEType: 'KMS' },
        PointInTimeRecoverySpecification: {
          PointInTimeRecoveryEnabled: true,
          // Certificates say for how long an erased KEK could still be restored.
          RecoveryPeriodInDays: LEDGER_BACKUP_DAYS,
        },
        DeletionProtectionEnabled: true,
      },
    },
  };
}
