import { TABLE_DEFINITION } from '../shared/ledger/table.ts';
import { getAtt, type Resources } from './cloudformation.ts';
import type { Stage } from './stage.ts';

/** The ledger's table. It outlives the stack: without it, no KEK can be unwrapped and every value is lost. */
export function ledger(stage: Stage): Resources {
  return {
    LedgerTable: {
      Type: 'AWS::DynamoDB::Table',
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        TableName: `${stage.service}-ledger`,
        ...TABLE_DEFINITION,
        SSESpecification: { SSEEnabled: true, SSEType: 'KMS', KMSMasterKeyId: getAtt('StoreKey') },
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        DeletionProtectionEnabled: true,
      },
    },
  };
}
