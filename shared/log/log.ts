/** Structured logging of an allow-list of fields: never an event, a record, a key or a body. */
export interface LogFields {
  readonly jobId?: string;
  readonly tenant?: string;
  readonly purpose?: string;
  readonly keyId?: string;
  readonly version?: number;
  /** An ARN, or a keystore's id. */
  readonly rootKeyId?: string;
  readonly formerRootKeyId?: string;
  readonly materialId?: string;
  readonly formerMaterialId?: string;
  readonly recordSet?: string;
  readonly round?: number;
  readonly segment?: number;
  readonly status?: string;
  readonly code?: string;
  readonly count?: number;
  readonly step?: string;
  readonly executionName?: string;
  readonly stack?: string;
}

type FieldTypes = {
  readonly [Name in keyof LogFields]-?: NonNullable<LogFields[Name]> extends number ? 'number' : 'string';
};

/** The allow-list of every log adapter, with each field's type: an object or an error under an allowed name stays in. */
const ALLOWED: FieldTypes = {
  jobId: 'string',
  tenant: 'string',
  purpose: 'string',
  keyId: 'string',
  version: 'number',
  rootKeyId: 'string',
  formerRootKeyId: 'string',
  materialId: 'string',
  formerMaterialId: 'string',
  recordSet: 'string',
  round: 'number',
  segment: 'number',
  status: 'string',
  code: 'string',
  count: 'number',
  step: 'string',
  executionName: 'string',
  stack: 'string',
};

/** What of `fields` may leave, in the list's order, also where the types were bypassed. */
export function pickLogFields(fields: LogFields = {}): Record<string, string | number> {
  const picked: Record<string, string | number> = {};
  for (const [name, type] of Object.entries(ALLOWED)) {
    const value: unknown = Object.hasOwn(fields, name) ? Reflect.get(fields, name) : undefined;
    if (typeof value === type && (typeof value === 'string' || typeof value === 'number'))
      picked[name] = value;
  }
  return picked;
}

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };
