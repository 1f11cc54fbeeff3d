/** Structured logging of an allow-list of fields: never an event, a record, a key or a body. */
export interface LogFields {
  readonly jobId?: string;
  readonly tenant?: string;
  readonly purpose?: string;
  readonly keyId?: string;
  readonly version?: number;
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

export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };
