import type { Deps } from '../../shared/deps/deps.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import { createDice } from '../dice.ts';
import type { Process } from '../process.ts';
import type { World } from '../world.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const TRIES = 4;

/** The command got an answer that says: not now. */
export const AGAIN = Symbol('again');

/**
 * A command that a person gives. Like people do they give it again a while later when it was cut off, or when its answer was
 * that something is away; at most a few times. Any other error is an answer, and the end of it.
 */
export function command(
  world: World,
  name: string,
  run: (deps: Deps, process: Process) => Promise<unknown>,
  { tries = TRIES }: { readonly tries?: number } = {},
): void {
  const dice = createDice(world.plan.seed, name);
  const give = (left: number) => {
    let over = false;
    const end = (again: boolean) => {
      if (over) return;
      over = true;
      if (again && left > 1)
        world.scheduler.after(dice.between(20 * SECOND, 40 * MINUTE), () => give(left - 1));
    };
    const process = world.start('person', `${name} #${tries - left + 1}`, async (self, deps) => {
      try {
        end((await run(deps, self)) === AGAIN);
      } catch (error) {
        if (!(error instanceof KeyturnError)) throw error;
        end(error.retryable);
      }
    });
    process.onKilled(() => end(true));
  };
  give(tries);
}

/** One of them, by a number that was drawn before anybody knew how many there would be. */
export function nth<T>(of: readonly T[], number: number): T | undefined {
  return of[number % Math.max(1, of.length)];
}
