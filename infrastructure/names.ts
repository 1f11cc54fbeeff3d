import type { StateMachineName } from '../shared/executions/executions.ts';
import { arn, getAtt, sub } from './cloudformation.ts';
import type { Stage } from './stage.ts';

/**
 * Names that are known before anything is made. Where two resources name each other (a key's policy its users' roles,
 * a function the state machine that calls it), one of them does so by such a name, or the stack could not be ordered.
 */

/** Tag of the KMS keys that Keyturn works with: `root` of the stack's root key, `version` of a key made for one version. */
export const KEY_TAG = 'keyturn:key';

export function roleName(stage: Stage, owner: string): string {
  return `${stage.service}-${stage.deployment.region}-${owner}`;
}

export function roleArn(stage: Stage, owner: string) {
  return arn('iam', `role/${roleName(stage, owner)}`, null);
}

export function functionName(stage: Stage, name: string): string {
  return `${stage.service}-${name}`;
}

/** osls's logical ids. */
export function functionLogicalId(name: string): string {
  return `${osls(name)}LambdaFunction`;
}

/** As osls writes a function's name in logical ids: create-version -> CreateDashversion. */
function osls(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll('-', 'Dash');
}

export function stateMachineName(stage: Stage, machine: StateMachineName): string {
  return `${stage.service}-${machine}`;
}

export function stateMachineArn(
  stage: Stage,
  machine: StateMachineName,
  kind: 'stateMachine' | 'execution' = 'stateMachine',
  suffix = '',
) {
  const name = stateMachineName(stage, machine);
  return arn('states', `${kind}:${name}${suffix}`);
}

/** So many ARNs of keys fit into every policy: IAM takes 6,144 characters in one, and some list the keys three times. */
export const MOST_NAMED_KEYS = 4;

/**
 * Keys as a policy names them: each by its ARN, and more than a few by one pattern. The encryption context, which every
 * statement that uses a key asks for, then binds it to Keyturn's own ciphertexts, and each key's own policy says who may.
 */
export function namedKeys(arns: readonly unknown[]): readonly unknown[] {
  return arns.length <= MOST_NAMED_KEYS ? arns : [sub(`arn:\${AWS::Partition}:kms:*:*:key/*`)];
}

/** The root keys that wrap new KEKs: the stage's own and those that single tenants brought. */
export function wrappingKeyArns(stage: Stage): unknown[] {
  const { rootKey, tenantRootKeys } = stage.provider;
  return [rootKey ?? getAtt('RootKey'), ...new Set(Object.values(tenantRootKeys))];
}

/** Every root key of the stage, those too that wrapped before and still open what they wrapped. */
export function rootKeyArns(stage: Stage): unknown[] {
  return [...new Set([...wrappingKeyArns(stage), ...stage.provider.formerRootKeys])];
}

/** Those that wrap the state key, or did: the stage's own, never a tenant's. */
export function stateKeyArns(stage: Stage): unknown[] {
  const { rootKey, formerRootKeys } = stage.provider;
  return [...new Set([rootKey ?? getAtt('RootKey'), ...formerRootKeys])];
}

export function makesRootKey(stage: Stage): boolean {
  return stage.provider.rootKey === undefined;
}

/** What signs certificates and anchors: the key that the stage names, or the stack's own. */
export function signingKeyArn(stage: Stage): unknown {
  const { signing } = stage.config;
  return (signing?.type === 'aws-kms' ? signing.key : undefined) ?? getAtt('SigningKey');
}

export function makesSigningKey({ config: { signing } }: Stage): boolean {
  return signing?.type !== 'aws-kms' || signing.key === undefined;
}

export function ledgerTableName(stage: Stage): string {
  return `${stage.service}-ledger`;
}
