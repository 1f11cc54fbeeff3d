import { z } from 'zod';
import { configSchema } from '../../../shared/config/schema.ts';
import { exampleConfig } from '../example-config.ts';

/** docs/configuration.md: every setting of the schema, with its values, default and meaning. */

interface JsonSchema {
  readonly type?: string | undefined;
  readonly description?: string | undefined;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[] | undefined;
  readonly pattern?: string | undefined;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly properties?: Readonly<Record<string, JsonSchema>> | undefined;
  readonly required?: readonly string[] | undefined;
  readonly additionalProperties?: boolean | JsonSchema | undefined;
  readonly items?: JsonSchema | undefined;
  readonly oneOf?: readonly JsonSchema[] | undefined;
  readonly anyOf?: readonly JsonSchema[] | undefined;
}

const jsonSchema: z.ZodType<JsonSchema> = z.lazy(() =>
  z.looseObject({
    type: z.string().optional(),
    description: z.string().optional(),
    const: z.unknown().optional(),
    enum: z.array(z.unknown()).optional(),
    pattern: z.string().optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    maxLength: z.number().optional(),
    properties: z.record(z.string(), jsonSchema).optional(),
    required: z.array(z.string()).optional(),
    additionalProperties: z.union([z.boolean(), jsonSchema]).optional(),
    items: jsonSchema.optional(),
    oneOf: z.array(jsonSchema).optional(),
    anyOf: z.array(jsonSchema).optional(),
  }),
);

export interface Setting {
  readonly path: string;
  readonly values: string;
  readonly presence: string;
  readonly meaning: string;
}

/** Throws where a setting has no description. */
export function listSettings(): readonly Setting[] {
  return settingsOf('', jsonSchema.parse(z.toJSONSchema(configSchema, { io: 'input' })));
}

function settingsOf(path: string, schema: JsonSchema): Setting[] {
  const found: Setting[] = [];
  const required = new Set(schema.required);
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    const at = path === '' ? name : `${path}.${name}`;
    const nested = nestedSettings(at, inner);
    if (inner.description === undefined && nested.length === 0) throw new Error(`${at} has no description`);
    if (inner.description !== undefined) {
      found.push({
        path: at,
        values: valuesOf(inner),
        presence: presenceOf(inner, required.has(name)),
        meaning: inner.description,
      });
    }
    found.push(...nested);
  }
  return found;
}

function nestedSettings(path: string, schema: JsonSchema): Setting[] {
  const map = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  return [
    ...settingsOf(path, schema),
    ...(map === undefined ? [] : nestedSettings(`${path}.<name>`, map)),
    ...(schema.items === undefined ? [] : settingsOf(`${path}[]`, schema.items)),
    ...choicesOf(schema).flatMap((choice, _, all) =>
      settingsOf(path, choice).map((setting) =>
        // What one of several forms requires is not required of the others.
        all.length > 1 && setting.presence === 'required'
          ? { ...setting, presence: 'in this form' }
          : setting,
      ),
    ),
  ];
}

function choicesOf(schema: JsonSchema): readonly JsonSchema[] {
  return [...(schema.oneOf ?? []), ...(schema.anyOf ?? [])];
}

function presenceOf(schema: JsonSchema, required: boolean): string {
  const isValue = schema.default !== undefined && typeof schema.default !== 'object';
  if (isValue) return `\`${String(schema.default)}\``;
  return required ? 'required' : 'optional';
}

function valuesOf(schema: JsonSchema): string {
  const choices = choicesOf(schema);
  if (choices.length > 0) return [...new Set(choices.map(valuesOf))].join(', or ');
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.type === 'integer') return `${schema.minimum ?? ''} to ${schema.maximum ?? ''}`;
  if (schema.type === 'array') return 'list';
  if (schema.type === 'object') {
    const names = Object.keys(schema.properties ?? {});
    return names.length === 1 ? `\`{${names[0]}: …}\`` : 'settings';
  }
  if (schema.type === 'null') return '`null`';
  return schema.type === 'boolean' ? '`true`, `false`' : 'text';
}

const ENVIRONMENT = [
  ['KEYTURN_CONFIG', 'Path of this file, where --config is not given'],
  [
    'KEYTURN_LEDGER_TABLE',
    'AWS: the DynamoDB table of the ledger. Where it is set, and no embedded stack runs, the command line works on AWS',
  ],
  ['KEYTURN_QUEUE_URL', 'AWS: the SQS queue of chunks'],
  ['KEYTURN_BUS_NAME', 'AWS: the EventBridge bus that events about jobs go to'],
  ['KEYTURN_ROTATE_KEY_ARN', 'AWS: the state machine rotate-key'],
  ['KEYTURN_PURGE_VERSION_ARN', 'AWS: the state machine purge-version'],
  ['KEYTURN_ADOPT_RECORDS_ARN', 'AWS: the state machine adopt-records'],
  [
    'KEYTURN_ROOT_KEY_ARN',
    'AWS: the root key that the deployment made, where `provider.rootKey` is left out',
  ],
  ['KEYTURN_SIGNING_KEY_ARN', 'AWS: the signing key that the deployment made, where `signing` names none'],
  ['KEYTURN_AUDIT_BUCKET', 'AWS: the bucket that the deployment made, where `audit.archive` names none'],
  ['NO_COLOR', 'Any value: no colours'],
  ['DEBUG', '`keyturn`: errors with their stacks'],
] as const;

/** The stores and recordSets of a configuration; a test checks that they are valid. */
export const DYNAMODB_EXAMPLE = `stores:
  tables:
    type: dynamodb
    region: eu-central-1          # or left out: AWS_REGION
recordSets:
  customers:
    store: tables
    table: customers
    key: [customer_id]            # the partition key, and the sort key where there is one
    tenant:
      column: tenant_id
    index: by-tenant
    fields:
      - name: email
        column: email_encrypted   # binary, or a string of base64url
`;

export function configurationPage(): string {
  const rows = listSettings().map(
    ({ path, values, presence, meaning }) =>
      `| \`${path}\` | ${cell(values)} | ${presence} | ${cell(meaning)} |`,
  );
  const example = exampleConfig({
    schema: './docs/keyturn.schema.json',
    keystore: '.keyturn/keystore.json',
    keyFile: '.keyturn/keystore.key',
  });
  return `<!-- Made from shared/config/schema.ts by scripts/cli/docs/write.ts; a test checks that it is current. -->
# Configuration

One file, YAML or JSON: \`keyturn.yaml\`, \`keyturn.yml\` or \`keyturn.json\` in the working directory, or the one that
\`--config\` or \`KEYTURN_CONFIG\` names. \`keyturn init\` writes one. Relative paths in it are relative to its folder. An
unknown or misspelt setting is refused by name. Editors complete and check it with [its JSON Schema](keyturn.schema.json).

The embedded stack reads it when it starts: after a change, \`keyturn local stop\` and \`keyturn local start\`.

## Settings

\`<name>\` stands for a name of your own, \`[]\` for each entry of a list. The third column is the default, where there is one;
\`in this form\` marks settings of which one is chosen: of a tenant its column or a fixed one, for TLS a word or \`ca\`.

| setting | values | default | meaning |
|---|---|---|---|
${rows.join('\n')}

Rules between settings:

- \`provider\` has exactly one of \`passphraseFrom\` and \`keyFile\`.
- A postgres store has exactly one of \`urlFrom\`, \`secret\` and \`embedded\`; \`host\`, \`port\` and \`database\` go with \`secret\`.
- A record set of a dynamodb store has one or two \`key\` attributes and no \`plaintextColumn\`. An \`index\` goes with a
  tenant attribute that is not the table's partition key; that one finds a tenant's records by itself.
- \`approvals.required: 0\` needs \`acceptNoApprovals: true\`. Named approvers are at least \`required\` in number, and no two of
  them have the same public key. With none named nothing that needs approvals can happen.
- \`recordSets.<name>.store\` is one of the stores; within a record set no field name and no column stands twice.
- \`rotation.graceSeconds\` is at least the longest of \`cacheMaxAgeSeconds + clockSkewSeconds + maxTransactionSeconds\`, 28 days
  (SQS retention and redrive) and \`backupRetentionSeconds\`. Only \`acceptShortGrace\` allows less: for a trial, never for
  real data, since a restored backup or a late message may then need a version that is destroyed.

## Environment variables

| variable | meaning |
|---|---|
${ENVIRONMENT.map(([name, meaning]) => `| \`${name}\` | ${cell(meaning)} |`).join('\n')}

Besides these, the variables that the configuration names (\`urlFrom\`, \`passphraseFrom\`), and for AWS those of its SDK.

## A table of DynamoDB

\`\`\`yaml
${DYNAMODB_EXAMPLE}\`\`\`

The index is keyed by the tenant attribute and projects keys only, so a rotation costs no write in it; without one a
tenant's sweep scans the table. On one machine such tables are in the embedded stack's DynamoDB, which your application
reaches at the endpoint that \`keyturn local status\` shows.

## The file that \`keyturn init\` writes

\`\`\`yaml
${example}\`\`\`
`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
