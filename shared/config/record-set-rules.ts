/** What a record set must be, by the kind of its store. Pure. */

interface RecordSet {
  readonly table: string;
  readonly key: readonly string[];
  readonly tenant: { readonly column: string } | { readonly fixed: string };
  readonly index?: string | undefined;
  readonly fields: readonly { readonly column: string; readonly plaintextColumn?: string | undefined }[];
}

export interface RuleProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const POSTGRES_TABLE = /^[^."]{1,63}(\.[^."]{1,63})?$/;
/** PostgreSQL's NAMEDATALEN, less its end. */
const POSTGRES_NAME = 63;
const DYNAMODB_TABLE = /^[A-Za-z0-9_.-]{3,255}$/;
/** A partition key, and a sort key. */
const DYNAMODB_KEYS = 2;

export function postgresProblems(set: RecordSet): RuleProblem[] {
  const problems: RuleProblem[] = [];
  if (!POSTGRES_TABLE.test(set.table)) {
    problems.push({ path: ['table'], message: 'write it as table or schema.table, without quotes' });
  }
  for (const { path, name } of columnsOf(set)) {
    if (name.length <= POSTGRES_NAME) continue;
    problems.push({ path, message: `has ${name.length} characters; PostgreSQL's names have at most 63` });
  }
  if (set.index !== undefined) {
    problems.push({ path: ['index'], message: 'goes with a dynamodb store; PostgreSQL finds its indexes' });
  }
  return problems;
}

export function dynamodbProblems(set: RecordSet): RuleProblem[] {
  const problems: RuleProblem[] = [];
  const tenant = 'column' in set.tenant ? set.tenant.column : undefined;
  if (!DYNAMODB_TABLE.test(set.table)) {
    problems.push({
      path: ['table'],
      message: 'is no name of a DynamoDB table: 3 to 255 of A-Z, a-z, 0-9, _, - and .',
    });
  }
  if (set.key.length > DYNAMODB_KEYS) {
    problems.push({
      path: ['key'],
      message: `names ${set.key.length} attributes; a DynamoDB table has a partition key and at most one sort key`,
    });
  }
  if (set.index !== undefined && tenant === undefined) {
    problems.push({ path: ['index'], message: 'finds the records of one of several tenants; here is one' });
  }
  if (set.index !== undefined && tenant !== undefined && tenant === set.key[0]) {
    problems.push({
      path: ['index'],
      message: `"${tenant}" is the table's partition key, which finds a tenant's records without an index`,
    });
  }
  for (const [i, { column, plaintextColumn }] of set.fields.entries()) {
    if (set.key.includes(column) || column === tenant) {
      problems.push({ path: ['fields', i, 'column'], message: `"${column}" is a key or the tenant already` });
    }
    if (plaintextColumn !== undefined) {
      problems.push({
        path: ['fields', i, 'plaintextColumn'],
        message: 'adoption in place is not offered on DynamoDB: let the application write the envelopes',
      });
    }
  }
  return problems;
}

function columnsOf(set: RecordSet): { path: (string | number)[]; name: string }[] {
  return [
    ...set.key.map((name, i) => ({ path: ['key', i], name })),
    ...('column' in set.tenant ? [{ path: ['tenant', 'column'], name: set.tenant.column }] : []),
    ...set.fields.flatMap(({ column, plaintextColumn }, i) => [
      { path: ['fields', i, 'column'], name: column },
      ...(plaintextColumn === undefined
        ? []
        : [{ path: ['fields', i, 'plaintextColumn'], name: plaintextColumn }]),
    ]),
  ];
}
