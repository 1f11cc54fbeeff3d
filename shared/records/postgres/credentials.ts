import { z } from 'zod';
import { SecretError } from '../../errors/errors.ts';
import type { Secrets } from '../../secrets/secrets.ts';

/** What the configuration says of a database whose user and password are in a secret. */
export interface SecretTarget {
  readonly secret: string;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | undefined;
}

/** A rotated password is noticed so much later at most, by new connections; the open ones stay. */
const MAX_AGE_SECONDS = 60;

/** As RDS and Secrets Manager write it: D/secretsmanager/latest/userguide/reference_secret_json_structure.html */
const secretSchema = z.object({
  username: z.string().min(1),
  password: z.string().min(1),
  host: z.string().min(1).optional(),
  port: z.coerce.number().int().min(1).max(65_535).optional(),
  dbname: z.string().min(1).optional(),
});

export interface Credentials {
  /** Without a password. */
  readonly url: string;
  /** User and password as they are by then: asked for each new connection. */
  readonly login: () => Promise<Login>;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

/** Host, port and database come from the configuration, else from the secret; user and password from the secret. */
export async function readCredentials(
  secrets: Secrets,
  store: string,
  target: SecretTarget,
): Promise<Credentials> {
  const read = async () =>
    parseSecret(store, target.secret, await secrets.read(target.secret, MAX_AGE_SECONDS));
  const found = await read();
  const host = target.host ?? found.host;
  const database = target.database ?? found.dbname;
  if (host === undefined || database === undefined) {
    const missing = host === undefined ? 'host' : 'database';
    throw new SecretError('SECRET_INVALID', `Store "${store}": its secret names no ${missing}`, {
      remedy: `Set stores.${store}.${missing}; a secret made by RDS holds only user and password.`,
    });
  }
  const url = new URL('postgres://host/');
  url.hostname = host;
  url.port = String(target.port ?? found.port ?? 5432);
  url.username = encodeURIComponent(found.username);
  url.pathname = `/${encodeURIComponent(database)}`;
  const login = async () => {
    const { username, password } = await read();
    return { user: username, password };
  };
  return { url: url.href, login };
}

function parseSecret(store: string, secretId: string, text: string): z.output<typeof secretSchema> {
  const invalid = (what: string) =>
    new SecretError('SECRET_INVALID', `Store "${store}": the secret ${secretId} ${what}`, {
      remedy:
        'It must be the JSON that RDS writes: {"username": …, "password": …, "host"?, "port"?, "dbname"?}.',
    });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw invalid('is not JSON');
  }
  const parsed = secretSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw invalid(
    `has no usable ${parsed.error.issues.map((issue) => issue.path.join('.') || 'object').join(', ')}`,
  );
}
