import type { RootKeyState } from '../../shared/providers/root-key-provider.ts';
import type { FaultKind } from '../faults.ts';
import type { EmittedEvent } from '../models/bus.ts';
import { type API_CALLS, kmsApiCall, kmsServiceEvent } from '../models/incoming-events.ts';
import type { Action } from '../plan.ts';
import type { World } from '../world.ts';
import { numberIn, textIn } from './commands.ts';

/**
 * Whose root keys they are: customers, who switch theirs off and on again, let it expire, or bring another. AWS says so by
 * events, which may be lost: nothing may depend on them.
 */

const MINUTE = 60_000;

interface Outage {
  readonly state: RootKeyState;
  /** What AWS says of it. */
  readonly begins: (rootKeyId: string) => EmittedEvent;
  readonly ends: (rootKeyId: string) => EmittedEvent;
}

const said = (name: (typeof API_CALLS)[number]) => (rootKeyId: string) => kmsApiCall(name, rootKeyId);

const OUTAGES = {
  'root-key-disabled': { state: 'DISABLED', begins: said('DisableKey'), ends: said('EnableKey') },
  'root-key-deletion-pending': {
    state: 'PENDING_DELETION',
    begins: said('ScheduleKeyDeletion'),
    ends: said('CancelKeyDeletion'),
  },
  'material-expired': {
    state: 'PENDING_IMPORT',
    begins: (rootKeyId) => kmsServiceEvent('DeleteExpiredKeyMaterial', rootKeyId),
    ends: said('ImportKeyMaterial'),
  },
  // To somebody without any permission a key is not there.
  'grant-revoked': { state: 'NOT_FOUND', begins: said('PutKeyPolicy'), ends: said('PutKeyPolicy') },
} as const satisfies Partial<Record<FaultKind, Outage>>;

/** `minutes`: until the customer takes it back; 0: never. */
export function takeAway(world: World, kind: keyof typeof OUTAGES, { choice }: Action): void {
  const rootKeyId = rootKeyOf(world, textIn(choice, 'tenant'));
  if (!world.faults.fires(kind, rootKeyId)) return;
  const { state, begins, ends } = OUTAGES[kind];
  world.rootKeys.set(rootKeyId, state);
  world.bus.emit(begins(rootKeyId));
  const minutes = numberIn(choice, 'minutes');
  if (minutes === 0) return;
  world.scheduler.after(minutes * MINUTE, () => {
    world.rootKeys.set(rootKeyId, 'ENABLED');
    world.bus.emit(ends(rootKeyId));
    // A key whose deletion is called off is disabled until somebody enables it.
    if (kind === 'root-key-deletion-pending') world.bus.emit(kmsApiCall('EnableKey', rootKeyId));
  });
}

/** New material of the same key; what the old one wrapped still unwraps. */
export function rotateRootKey(world: World, { choice }: Action): void {
  const rootKeyId = rootKeyOf(world, textIn(choice, 'tenant'));
  world.rootKeys.rotate(rootKeyId);
  world.bus.emit(kmsApiCall('RotateKeyOnDemand', rootKeyId));
}

/** From now on another key wraps what is the tenant's. */
export function replaceRootKey(world: World, { choice }: Action): void {
  const rootKeyId = world.rootKeys.add();
  world.rootKeys.ofTenant.set(textIn(choice, 'tenant'), rootKeyId);
}

export function rootKeyOf({ rootKeys }: World, tenant: string): string {
  return rootKeys.provider.rootKeyFor(tenant);
}
