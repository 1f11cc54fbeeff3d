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
/** The shortest that AWS allows. Nothing is deleted here: the customer would lose their own data. */
const DELETION_MS = 7 * 24 * 60 * MINUTE;

type ApiCall = (typeof API_CALLS)[number];

interface Outage {
  /** null: as before, but nobody here may use the key. */
  readonly state: RootKeyState | null;
  /** What AWS says of its beginning and its end. */
  readonly begins: (rootKeyId: string) => EmittedEvent;
  readonly ends: readonly ApiCall[];
}

const called = (name: ApiCall) => (rootKeyId: string) => kmsApiCall(name, rootKeyId);

const OUTAGES = {
  'root-key-disabled': { state: 'DISABLED', begins: called('DisableKey'), ends: ['EnableKey'] },
  // One whose deletion is called off is disabled until somebody enables it.
  'root-key-deletion-pending': {
    state: 'PENDING_DELETION',
    begins: called('ScheduleKeyDeletion'),
    ends: ['CancelKeyDeletion', 'EnableKey'],
  },
  'material-expired': {
    state: 'PENDING_IMPORT',
    begins: (rootKeyId) => kmsServiceEvent('DeleteExpiredKeyMaterial', rootKeyId),
    ends: ['ImportKeyMaterial'],
  },
  'grant-revoked': { state: null, begins: called('PutKeyPolicy'), ends: ['PutKeyPolicy'] },
} as const satisfies Partial<Record<FaultKind, Outage>>;

/** `minutes`: until the customer takes it back; 0: never. */
export function takeAway(world: World, kind: keyof typeof OUTAGES, { choice }: Action): void {
  const rootKeyId = rootKeyOf(world, textIn(choice, 'tenant'));
  if (!world.faults.fires(kind, rootKeyId)) return;
  const { state, begins, ends }: Outage = OUTAGES[kind];
  if (state === null) world.rootKeys.denied.add(rootKeyId);
  else setState(world, rootKeyId, state);
  tellHistory(world, rootKeyId);
  world.bus.emit(begins(rootKeyId));
  const minutes = numberIn(choice, 'minutes');
  if (minutes === 0) return;
  world.scheduler.after(minutes * MINUTE, () => {
    if (state === null) world.rootKeys.denied.delete(rootKeyId);
    else setState(world, rootKeyId, 'ENABLED');
    tellHistory(world, rootKeyId);
    for (const name of ends) world.bus.emit(kmsApiCall(name, rootKeyId));
  });
}

/** New material of the same key; what the old one wrapped still unwraps. */
export function rotateRootKey(world: World, { choice }: Action): void {
  const rootKeyId = rootKeyOf(world, textIn(choice, 'tenant'));
  world.rootKeys.rotate(rootKeyId);
  world.bus.emit(kmsApiCall('RotateKeyOnDemand', rootKeyId));
}

/** From now on another key wraps what is the tenant's. */
export function replaceRootKey({ rootKeys }: World, { choice }: Action): void {
  rootKeys.ofTenant.set(textIn(choice, 'tenant'), rootKeys.add());
}

function rootKeyOf({ rootKeys }: World, tenant: string): string {
  return rootKeys.provider.rootKeyFor(tenant);
}

function setState({ rootKeys, scheduler }: World, rootKeyId: string, state: RootKeyState): void {
  rootKeys.set(rootKeyId, state);
  const key = rootKeys.keys.get(rootKeyId);
  if (key === undefined) return;
  const isPending = state === 'PENDING_DELETION';
  key.deletionAt = isPending ? new Date(scheduler.now() + DELETION_MS).toISOString() : null;
}

function tellHistory({ history, rootKeys }: World, rootKeyId: string): void {
  const state = rootKeys.keys.get(rootKeyId)?.state ?? 'NOT_FOUND';
  history.add({ kind: 'root-key', rootKeyId, state: rootKeys.denied.has(rootKeyId) ? 'DENIED' : state });
}
