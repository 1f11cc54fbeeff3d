import { KeyturnError } from '../../shared/errors/errors.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { createDice } from '../dice.ts';
import { rotationRequest } from '../models/incoming-events.ts';
import type { Action } from '../plan.ts';
import type { World } from '../world.ts';
import { cipherOn, insertFirst, pauseBetween, startApplication, writeLate, writeNow } from './application.ts';
import { COMMANDS, numberIn, textIn } from './commands.ts';
import { damage, swap } from './damage.ts';
import { keyNameIn, momentIn } from './moments.ts';
import { readOld } from './old-reader.ts';
import { approveOwn, raceApprovals, startApprovers } from './people.ts';
import { command } from './person.ts';
import { restore, startBackups } from './restores.ts';
import { replaceRootKey, rotateRootKey, takeAway } from './root-key-owner.ts';

/** All that happens in a simulation and is not the pipeline's: by the names that plans use. */

export type Act = (world: World, action: Action) => void;

const MINUTE = 60_000;

const ALL: Readonly<Record<string, Act>> = {
  ...Object.fromEntries(Object.entries(COMMANDS).map(([name, run]) => [name, commandOf(name, run)])),

  'rotate-by-event': ({ bus }, { choice }) =>
    bus.emit(
      rotationRequest({
        tenant: textIn(choice, 'tenant'),
        purpose: textIn(choice, 'purpose'),
        requestId: `request-${numberIn(choice, 'request')}`,
        requestedBy: textIn(choice, 'by'),
      }),
    ),
  'root-key-rotated': rotateRootKey,
  'root-key-replaced': replaceRootKey,
  'read-old': readOld,
  write: writeNow,
  'write-late': writeLate,
  /** Applications know of it beforehand: see `begin`. */
  rush: () => {},

  // Accidents: each asks its fault, and happens only if that fires.
  'root-key-disabled': (world, action) => takeAway(world, 'root-key-disabled', action),
  'root-key-deletion-pending': (world, action) => takeAway(world, 'root-key-deletion-pending', action),
  'grant-revoked': (world, action) => takeAway(world, 'grant-revoked', action),
  'material-expired': (world, action) => takeAway(world, 'material-expired', action),
  restore,
  'bit-flipped': (world, action) => damage(world, 'bit-flipped', action),
  truncated: (world, action) => damage(world, 'truncated', action),
  swapped: swap,
  'unknown-version': (world, action) => damage(world, 'unknown-version', action),
  'unknown-algorithm': (world, action) => damage(world, 'unknown-algorithm', action),
  'approval-raced': raceApprovals,
  'self-approval': approveOwn,
};

export const ACTIONS: Readonly<Record<string, Act>> = Object.fromEntries(
  Object.entries(ALL).map(([name, run]) => [name, name === 'write-late' ? run : atItsMoment(run)]),
);

/** An action whose choice names a moment waits for it, for as long as anything is to happen at all. */
function atItsMoment(run: Act): Act {
  return (world, action) => {
    const { choice } = action;
    const moment = momentIn(choice);
    if (moment === null) {
      run(world, action);
      return;
    }
    world.moments.when(moment, keyNameIn(choice), numberIn(choice, 'delay'), () => {
      if (!world.faults.stopped) run(world, action);
    });
  };
}

function commandOf(name: string, run: (typeof COMMANDS)[string]): Act {
  return (world, { number, choice }) => command(world, `${name} ${number}`, (deps) => run(deps, choice));
}

/** Before the first step: whoever acts by themselves starts. */
export function begin(world: World): void {
  const dice = createDice(world.plan.seed, 'begin');
  const { plan, config, scheduler, rootKeys, stores } = world;
  if (dice.chance(0.5)) for (const tenant of plan.tenants) rootKeys.ofTenant.set(tenant, rootKeys.add());
  // Half of the databases have the writers' fence.
  for (const name of Object.keys(config.stores)) {
    // Of one database: its record sets have them together.
    const minimums = dice.chance(0.5) ? new Map() : null;
    for (const store of Object.values(stores))
      if (config.recordSets[store.recordSet]?.store === name) store.minimums = minimums;
  }
  const start = scheduler.now();
  const rushes = plan.actions
    .filter(({ name }) => name === 'rush')
    .map(({ after, choice }) => ({
      from: start + after,
      to: start + after + numberIn(choice, 'minutes') * MINUTE,
    }));
  const purposes = new Set(Object.values(config.recordSets).map(({ purpose }) => purpose));
  startBackups(world);
  startApprovers(world);
  world.start('service', 'set-up', async (process, deps) => {
    for (const tenant of plan.tenants) {
      for (const purpose of purposes) await untilDone(deps, () => createKey(deps, tenant, purpose));
    }
    const cipher = cipherOn(world, world.keyringOf(process), dice);
    await untilDone(deps, () => insertFirst(world, process, cipher, dice));
    for (let i = 1; i <= plan.applications; i++)
      startApplication(world, `application ${i}`, pauseBetween(rushes));
  });
}

async function untilDone(
  { clock }: { readonly clock: { sleep(milliseconds: number): Promise<void> } },
  run: () => Promise<unknown>,
): Promise<void> {
  for (;;) {
    try {
      await run();
      return;
    } catch (error) {
      if (!(error instanceof KeyturnError)) throw error;
      await clock.sleep(MINUTE);
    }
  }
}
