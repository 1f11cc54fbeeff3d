import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';

/** What the processes of the mutants are asked, and what they answer. */

/** Seeds one after the other, until one of them has a violation. */
export interface Hunt {
  /** Whose plans these are. */
  readonly mutant: string;
  /** Whether the mutant is put in: or else the code is as it is. */
  readonly broken: boolean;
  readonly firstSeed: number;
  readonly seeds: number;
}

const findingSchema = z.object({
  mutant: z.string(),
  /** Those that were run. */
  seeds: z.int(),
  steps: z.int(),
  /** The first violation. */
  found: z.object({ seed: z.int(), rule: z.string(), what: z.string() }).nullable(),
});
export type Finding = z.infer<typeof findingSchema>;

const run = promisify(execFile);
const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
/** A mutant may go on for ever where no step of the simulation sees it. On a busy machine others take minutes. */
const LONGEST_MS = 600_000;

/** Throws when the process fails or takes too long. */
export async function runHunts(hunts: readonly Hunt[]): Promise<readonly Finding[]> {
  const { stdout } = await run(process.execPath, [WORKER, JSON.stringify(hunts)], { timeout: LONGEST_MS });
  return z.array(findingSchema).parse(JSON.parse(stdout));
}
