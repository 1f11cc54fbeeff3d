import { VARIABLES } from '../shared/deps/environment.ts';
import type { Need } from '../shared/deps/needs.ts';
import { makesAuditBucket } from './archive.ts';
import { getAtt, ref } from './cloudformation.ts';
import { makesRootKey, makesSigningKey, stateMachineArn } from './names.ts';
import type { Stage } from './stage.ts';

/**
 * Environment variables of the functions: names of resources only. What is secret is in Secrets Manager and KMS, and
 * is read with the function's role.
 */
const VALUES: Readonly<Record<keyof typeof VARIABLES, (stage: Stage) => unknown>> = {
  KEYTURN_CONFIG: (stage) => stage.file,
  KEYTURN_LEDGER_TABLE: () => ref('LedgerTable'),
  KEYTURN_QUEUE_URL: () => ref('WorkQueue'),
  KEYTURN_BUS_NAME: () => ref('EventBus'),
  KEYTURN_ROTATE_KEY_ARN: (stage) => stateMachineArn(stage, 'rotate-key'),
  KEYTURN_PURGE_VERSION_ARN: (stage) => stateMachineArn(stage, 'purge-version'),
  KEYTURN_ADOPT_RECORDS_ARN: (stage) => stateMachineArn(stage, 'adopt-records'),
};

/** Every variable of the stage, as the command line has them too. */
export function environmentValues(stage: Stage): Record<string, unknown> {
  return {
    ...Object.fromEntries(Object.entries(VALUES).map(([name, value]) => [name, value(stage)])),
    ...(makesRootKey(stage) && { KEYTURN_ROOT_KEY_ARN: getAtt('RootKey') }),
    ...(makesAuditBucket(stage) && { KEYTURN_AUDIT_BUCKET: ref('AuditBucket') }),
    ...(makesSigningKey(stage) && { KEYTURN_SIGNING_KEY_ARN: getAtt('SigningKey') }),
  };
}

/** Exactly the variables that the needs ask for. */
export function environmentOf(stage: Stage, needs: readonly Need[]): Record<string, unknown> {
  const asked = Object.entries(environmentValues(stage)).filter(([name]) => asksFor(needs, name));
  return {
    // The one dimension of every metric, and the service of every log line.
    POWERTOOLS_SERVICE_NAME: stage.service,
    POWERTOOLS_LOG_LEVEL: 'INFO',
    ...Object.fromEntries(asked),
    // The certificate authorities of RDS, which come with the runtime.
    ...(opensPostgres(stage, needs) && { NODE_EXTRA_CA_CERTS: '/var/runtime/ca-cert.pem' }),
  };
}

function asksFor(needs: readonly Need[], name: string): boolean {
  // The ledger's state key is wrapped by it.
  if (name === 'KEYTURN_ROOT_KEY_ARN')
    return needs.some((need) => need === 'ledger' || need.startsWith('provider:'));
  if (name === 'KEYTURN_AUDIT_BUCKET') return needs.includes('archive');
  if (name === 'KEYTURN_SIGNING_KEY_ARN') return needs.includes('sign');
  const { need } = VARIABLES[name as keyof typeof VARIABLES];
  return need === null || needs.includes(need);
}

export function opensStores(needs: readonly Need[]): boolean {
  return needs.includes('stores:read') || needs.includes('stores:write');
}

export function opensPostgres(stage: Stage, needs: readonly Need[]): boolean {
  return opensStores(needs) && Object.values(stage.config.stores).some(({ type }) => type === 'postgres');
}
