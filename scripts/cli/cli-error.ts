import { type ErrorDetail, KeyturnError } from '../../shared/errors/errors.ts';

/** What only the command line can raise. */
export type CliErrorCode =
  | 'USAGE'
  | 'INPUT_INVALID'
  | 'INPUT_NOT_FOUND'
  | 'TENANT_NOT_FOUND'
  /** A change that cannot be undone was declined, or nobody could be asked. */
  | 'NOT_CONFIRMED'
  /** The kind of store has no fence. */
  | 'FENCE_NOT_OFFERED'
  | 'FILE_EXISTS'
  | 'FILE_FAILED'
  | 'STACK_NOT_RUNNING'
  | 'STACK_START_FAILED'
  | 'STACK_STOP_FAILED'
  | 'INTERRUPTED'
  /** Nothing of it was there to be verified. */
  | 'AUDIT_NOT_FOUND'
  /** What was to follow an approval failed, and not the approval. */
  | 'APPROVAL_STANDS'
  /** A bundle or the template is not what may be deployed. */
  | 'PACKAGE_REFUSED'
  | 'DEPLOY_FAILED'
  | 'NOT_DEPLOYED'
  | 'KEYS_NOT_DESTROYED'
  | 'UNEXPECTED';

export class CliError extends KeyturnError {
  readonly code: CliErrorCode;
  constructor(code: CliErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}
