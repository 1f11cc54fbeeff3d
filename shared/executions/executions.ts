/** The port to the engine that runs the state machines. */

export const STATE_MACHINES = ['rotate-key', 'purge-version', 'adopt-records'] as const;
export type StateMachineName = (typeof STATE_MACHINES)[number];

export interface Executions {
  /**
   * Starts an execution under a name. Starting the same name again while it runs, or after it ended, starts
   * nothing and is no error. Throws EXECUTIONS_UNAVAILABLE.
   */
  start(
    machine: StateMachineName,
    name: string,
    input: Readonly<Record<string, string>>,
  ): Promise<'started' | 'exists'>;
  isRunning(machine: StateMachineName, name: string): Promise<boolean>;
  /** Ends it where it stands; a step that runs is not interrupted. One that ended, or never was, is no error. */
  stop(machine: StateMachineName, name: string): Promise<void>;
}
