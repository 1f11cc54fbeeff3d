/**
 * What is stopped together: an execution, or what a Map runs. Whatever waits in it then waits for ever, and its alarms
 * are taken back; a task that runs goes on, and nobody hears its answer.
 */
export interface Scope {
  stop(): void;
  /** A promise that only settles while the scope is not stopped. `begin` returns what takes back what it began. */
  hold<T>(begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void): Promise<T>;
  /** A part, which can be stopped by itself. Ends with this one. */
  part(): Scope;
}

export function createScope(): Scope {
  const open = new Set<() => void>();
  let stopped = false;
  return {
    stop() {
      stopped = true;
      for (const takeBack of open) takeBack();
      open.clear();
    },
    hold: (begin) =>
      new Promise((resolve, reject) => {
        const settle = (how: () => void) => {
          if (stopped) return;
          open.delete(takeBack);
          how();
        };
        const takeBack = begin(
          (value) => settle(() => resolve(value)),
          (error) => settle(() => reject(error)),
        );
        open.add(takeBack);
      }),
    part() {
      const part = createScope();
      open.add(part.stop);
      return part;
    },
  };
}
