import type { Statement } from './rights.ts';
import type { Stage } from './stage.ts';

/** What a function may do with the record stores. PostgreSQL: read the secret; what it may do there, the database's own roles say. */
export function recordStatements(stage: Stage, _use: 'list' | 'read' | 'write'): Statement[] {
  const secrets = Object.values(stage.config.stores).flatMap((store) =>
    store.type === 'postgres' && store.secret !== undefined ? [store.secret] : [],
  );
  return secrets.length === 0
    ? []
    : [
        {
          Sid: 'ReadStoreSecrets',
          Effect: 'Allow',
          Action: 'secretsmanager:GetSecretValue',
          Resource: [...new Set(secrets)],
        },
      ];
}
