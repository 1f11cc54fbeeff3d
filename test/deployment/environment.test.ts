import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { FUNCTION_NEEDS } from '../../functions/needs.ts';
import { FUNCTION_NAMES, type FunctionName } from '../../infrastructure/functions.ts';
import { VARIABLES } from '../../shared/deps/environment.ts';
import type { Need } from '../../shared/deps/needs.ts';
import { STAGES } from './support/global-setup.ts';
import { ofType, readTemplate } from './support/template.ts';

/** What functions are told: names, never secrets, and no more than they need. */

const environment = z.object({ Variables: z.record(z.string(), z.unknown()) });

function environmentOf(stage: (typeof STAGES)[number], name: FunctionName): Record<string, unknown> {
  for (const { Properties } of ofType(readTemplate(stage), 'AWS::Lambda::Function').values()) {
    if (Properties['FunctionName'] === `keyturn-${stage}-${name}`)
      return environment.parse(Properties['Environment']).Variables;
  }
  throw new Error(`no function ${name}`);
}

/** All that may stand there. Whoever adds one says here that it is no secret. */
const KNOWN = [
  ...Object.keys(VARIABLES),
  'KEYTURN_AUDIT_BUCKET',
  'KEYTURN_ROOT_KEY_ARN',
  'KEYTURN_SIGNING_KEY_ARN',
  'NODE_EXTRA_CA_CERTS',
  'POWERTOOLS_LOG_LEVEL',
  'POWERTOOLS_SERVICE_NAME',
];

describe.each(STAGES)('environment variables of %s', (stage) => {
  it.each(FUNCTION_NAMES)('%s has the ones that its needs ask for', (name) => {
    const has = environmentOf(stage, name);
    const needs: readonly Need[] = FUNCTION_NEEDS[name];
    for (const [variable, { need }] of Object.entries(VARIABLES))
      expect(Object.hasOwn(has, variable), variable).toBe(need === null || needs.includes(need));
    // The ledger's state key is wrapped by it.
    const usesRootKey = needs.some((need) => need === 'ledger' || need.startsWith('provider:'));
    // The postgres example names a root key of its own.
    expect(Object.hasOwn(has, 'KEYTURN_ROOT_KEY_ARN')).toBe(usesRootKey && stage === 'dynamodb');
    expect(Object.hasOwn(has, 'KEYTURN_SIGNING_KEY_ARN')).toBe(needs.includes('sign'));
    const opensPostgres = stage === 'postgres' && needs.some((need) => need.startsWith('stores:'));
    expect(has['NODE_EXTRA_CA_CERTS']).toBe(opensPostgres ? '/var/runtime/ca-cert.pem' : undefined);
    expect(has['POWERTOOLS_SERVICE_NAME']).toBe(`keyturn-${stage}`);
  });

  it.each(FUNCTION_NAMES)('%s has no other, and nothing that is read from a secret', (name) => {
    const has = environmentOf(stage, name);
    expect(Object.keys(has).filter((variable) => !KNOWN.includes(variable))).toEqual([]);
    expect(JSON.stringify(has)).not.toMatch(/secretsmanager|resolve:|password|postgres:\/\//i);
  });
});
