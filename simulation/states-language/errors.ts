/** What a state failed with: an error name and a cause, as a Catch and an execution's end give them. */
export class StateError extends Error {
  constructor(name: string, cause: string) {
    super(cause);
    this.name = name;
  }
}

/** Not caught by States.ALL. */
const TERMINAL = new Set(['States.Runtime', 'States.DataLimitExceeded']);

/**
 * Whether `ErrorEquals` of a Retry or a Catch names the error.
 * D/step-functions/latest/dg/concepts-error-handling.html
 */
export function matches(names: readonly string[], error: string): boolean {
  if (TERMINAL.has(error)) return false;
  return names.some(
    (name) =>
      name === error || name === 'States.ALL' || (name === 'States.TaskFailed' && error !== 'States.Timeout'),
  );
}

/** Something in the data that no Retry and no Catch helps with. */
export function runtimeError(path: readonly string[], what: string): StateError {
  return new StateError('States.Runtime', `$.${path.join('.')} ${what}`);
}
