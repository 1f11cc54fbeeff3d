import { z } from 'zod';
import { ConfigError } from '../errors/errors.ts';
import type { Need } from './needs.ts';

/**
 * The environment variables of a function, by its needs: no default for a resource's name, a bad value fails at the
 * start and names the variable. Region, credentials and endpoints are the SDK's own variables; the ones that hold a
 * secret's name or a database's URL are named by the configuration.
 */

/** null: no declared need asks for it, and it is not looked at. */
export interface FunctionEnvironment {
  readonly KEYTURN_CONFIG: string;
  readonly KEYTURN_LEDGER_TABLE: string | null;
  readonly KEYTURN_QUEUE_URL: string | null;
  readonly KEYTURN_BUS_NAME: string | null;
  readonly KEYTURN_ROTATE_KEY_ARN: string | null;
  readonly KEYTURN_PURGE_VERSION_ARN: string | null;
  readonly KEYTURN_ADOPT_RECORDS_ARN: string | null;
}

const text = z.string().min(1);

/** Which need asks for a variable, and what it must look like. The one without a need is everybody's. */
export const VARIABLES = {
  KEYTURN_CONFIG: { need: null, schema: text },
  KEYTURN_LEDGER_TABLE: { need: 'ledger', schema: text },
  KEYTURN_QUEUE_URL: { need: 'queue', schema: z.url() },
  KEYTURN_BUS_NAME: { need: 'bus', schema: text },
  KEYTURN_ROTATE_KEY_ARN: { need: 'executions', schema: text },
  KEYTURN_PURGE_VERSION_ARN: { need: 'executions', schema: text },
  KEYTURN_ADOPT_RECORDS_ARN: { need: 'executions', schema: text },
} as const satisfies Record<
  keyof FunctionEnvironment,
  { readonly need: Need | null; readonly schema: z.ZodType<string> }
>;

const nothing = z.unknown().transform(() => null);

/** Throws ENVIRONMENT_INVALID, naming every variable that is missing or wrong and none of their values. */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  needs: readonly Need[],
): Readonly<FunctionEnvironment> {
  const when = (name: Exclude<keyof FunctionEnvironment, 'KEYTURN_CONFIG'>) =>
    needs.includes(VARIABLES[name].need) ? VARIABLES[name].schema : nothing;
  const schema = z.object({
    KEYTURN_CONFIG: VARIABLES.KEYTURN_CONFIG.schema,
    KEYTURN_LEDGER_TABLE: when('KEYTURN_LEDGER_TABLE'),
    KEYTURN_QUEUE_URL: when('KEYTURN_QUEUE_URL'),
    KEYTURN_BUS_NAME: when('KEYTURN_BUS_NAME'),
    KEYTURN_ROTATE_KEY_ARN: when('KEYTURN_ROTATE_KEY_ARN'),
    KEYTURN_PURGE_VERSION_ARN: when('KEYTURN_PURGE_VERSION_ARN'),
    KEYTURN_ADOPT_RECORDS_ARN: when('KEYTURN_ADOPT_RECORDS_ARN'),
  }) satisfies z.ZodType<FunctionEnvironment>;
  // Each by its name, so that one that is not set is there as undefined.
  const given = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, environment[name]]));
  const parsed = schema.safeParse(given);
  if (parsed.success) return Object.freeze(parsed.data);
  const missing = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw new ConfigError('ENVIRONMENT_INVALID', `Environment variables are missing or invalid: ${missing}`, {
    remedy:
      'docs/configuration.md lists them. On one machine, start the embedded stack: `keyturn local start`.',
  });
}
