import { CliError } from './cli-error.ts';

/**
 * Runs a wait that Ctrl-C ends at once, in an orderly way: it throws INTERRUPTED, saying what goes on. A second
 * Ctrl-C ends the process.
 */
export async function interruptible<T>(
  goesOn: string,
  wait: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const interrupted = new Promise<never>((_, reject) => {
    abort.signal.addEventListener('abort', () => {
      reject(new CliError('INTERRUPTED', goesOn, { remedy: 'See it with `keyturn status --watch`.' }));
    });
  });
  const onSignal = () => abort.abort();
  process.once('SIGINT', onSignal);
  try {
    // What is under way ends with its connections; nothing waits for it.
    return await Promise.race([wait(abort.signal), interrupted]);
  } finally {
    process.off('SIGINT', onSignal);
  }
}
