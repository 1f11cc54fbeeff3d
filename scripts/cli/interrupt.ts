import { CliError } from './cli-error.ts';

/** Runs a wait that Ctrl-C ends in an orderly way. A second Ctrl-C ends the process at once. */
export async function interruptible<T>(
  goesOn: string,
  wait: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const onSignal = () => abort.abort();
  process.once('SIGINT', onSignal);
  try {
    return await wait(abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    throw new CliError('INTERRUPTED', goesOn, {
      cause: error,
      remedy: 'See it with `keyturn status --watch`.',
    });
  } finally {
    process.off('SIGINT', onSignal);
  }
}
