import { arn } from './cloudformation.ts';
import type { Statement } from './rights.ts';
import type { Stage } from './stage.ts';

/**
 * What the record stores ask for. DynamoDB: the tables of the stage's file, their items only. PostgreSQL: the secret
 * with the database's user; what that user may do there, the database says.
 */
export function readRecords(stage: Stage): Statement[] {
  const tables = tablesOf(stage);
  const indexes = indexesOf(stage);
  const secrets = secretsOf(stage);
  return [
    ...when(tables, 'ReadRecords', ['BatchGetItem', 'DescribeTable', 'Query', 'Scan'].map(inDynamoDb)),
    ...when(indexes, 'ListRecords', ['Query'].map(inDynamoDb)),
    ...when(secrets, 'ReadStoreSecrets', ['secretsmanager:GetSecretValue']),
    ...when(stage.deployment.dataKeys, 'DecryptTablesAndSecrets', ['kms:Decrypt']).map((statement) => ({
      ...statement,
      // Never by the function itself: whatever else these keys encrypt stays closed.
      Condition: {
        StringLike: { 'kms:ViaService': ['dynamodb.*.amazonaws.com', 'secretsmanager.*.amazonaws.com'] },
      },
    })),
  ];
}

export function writeRecords(stage: Stage): Statement[] {
  return when(tablesOf(stage), 'WriteRecords', ['UpdateItem'].map(inDynamoDb));
}

function inDynamoDb(action: string): string {
  return `dynamodb:${action}`;
}

function when(resources: readonly unknown[], sid: string, actions: readonly string[]): Statement[] {
  return resources.length === 0
    ? []
    : [{ Sid: sid, Effect: 'Allow', Action: actions, Resource: [...resources] }];
}

function tablesOf(stage: Stage): unknown[] {
  return distinct(dynamodbSets(stage).map(({ region, table }) => arn('dynamodb', `table/${table}`, region)));
}

function indexesOf(stage: Stage): unknown[] {
  return distinct(
    dynamodbSets(stage).flatMap(({ region, table, index }) =>
      index === undefined ? [] : [arn('dynamodb', `table/${table}/index/${index}`, region)],
    ),
  );
}

function dynamodbSets(stage: Stage) {
  const { stores, recordSets } = stage.config;
  return Object.values(recordSets).flatMap(({ store, table, index }) => {
    const found = stores[store];
    return found?.type === 'dynamodb' ? [{ region: found.region, table, index }] : [];
  });
}

function secretsOf(stage: Stage): unknown[] {
  const secrets = Object.values(stage.config.stores).flatMap((store) =>
    store.type === 'postgres' && store.secret !== undefined ? [store.secret] : [],
  );
  return distinct(secrets).map((secret) =>
    // A secret that is named and not given by its ARN: Secrets Manager ends the ARN with six characters of its own.
    secret.startsWith('arn:') ? secret : arn('secretsmanager', `secret:${secret}-??????`),
  );
}

/** Several record sets can be in one table, and several databases behind one secret. */
function distinct<T>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
}
