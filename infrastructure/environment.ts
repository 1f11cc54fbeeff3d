import { getAtt, ref } from './cloudformation.ts';
import { makesRootKey, stateMachineArn } from './names.ts';
import type { Stage } from './stage.ts';

/**
 * Environment variables of the functions: names of resources only. What is secret is in Secrets Manager and KMS, and
 * is read with the function's role.
 */
export const VARIABLES = {
  KEYTURN_LEDGER_TABLE: () => ref('LedgerTable'),
  KEYTURN_QUEUE_URL: () => ref('WorkQueue'),
  KEYTURN_BUS_NAME: () => ref('EventBus'),
  KEYTURN_ROTATE_KEY_ARN: (stage) => stateMachineArn(stage, 'rotate-key'),
  KEYTURN_PURGE_VERSION_ARN: (stage) => stateMachineArn(stage, 'purge-version'),
  KEYTURN_ADOPT_RECORDS_ARN: (stage) => stateMachineArn(stage, 'adopt-records'),
  KEYTURN_ROOT_KEY_ARN: (stage) => (makesRootKey(stage) ? getAtt('RootKey') : undefined),
} as const satisfies Record<string, (stage: Stage) => unknown>;

export type Variable = keyof typeof VARIABLES;

export function variables(stage: Stage, names: readonly Variable[]): Record<string, unknown> {
  return Object.fromEntries(
    names.map((name) => [name, VARIABLES[name](stage)] as const).filter(([, value]) => value !== undefined),
  );
}

/** What every function has. */
export function commonVariables(stage: Stage): Record<string, string> {
  return {
    KEYTURN_CONFIG: stage.file,
    POWERTOOLS_SERVICE_NAME: stage.service,
    POWERTOOLS_LOG_LEVEL: 'INFO',
  };
}
