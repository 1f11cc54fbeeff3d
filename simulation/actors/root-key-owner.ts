import type { RootKeyState } from '../../shared/providers/root-key-provider.ts';
import type { FaultKind } from '../faults.ts';
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
  /** The API call, as CloudTrail names it. */
  readonly begins: string;
  readonly ends: string;
}

const OUTAGES = {
  'root-key-disabled': { state: 'DISABLED', begins: 'DisableKey', ends: 'EnableKey' },
  'root-key-deletion-pending': {
    state: 'PENDING_DELETION',
    begins: 'ScheduleKeyDeletion',
    ends: 'CancelKeyDeletion',
  },
  'material-expired': {
    state: 'PENDING_IMPORT',
    begins: 'DeleteImportedKeyMaterial',
    ends: 'ImportKeyMaterial',
  },
  // To somebody without any permission a key is not there.
  'grant-revoked': { state: 'NOT_FOUND', begins: 'PutKeyPolicy', ends: 'PutKeyPolicy' },
} as const satisfies Partial<Record<FaultKind, Outage>>;

/** `minutes`: until the customer takes it back; 0: never. */
export function takeAway(world: World, kind: keyof typeof OUTAGES, { choice }: Action): void {
  const rootKeyId = rootKeyOf(world, textIn(choice, 'tenant'));
  if (!world.faults.fires(kind, rootKeyId)) return;
  const { state, begins, ends } = OUTAGES[kind];
  world.rootKeys.set(rootKeyId, state);
  tell(world, begins, rootKeyId);
  const minutes = numberIn(choice, 'minutes');
  if (minutes === 0) return;
  world.scheduler.after(minutes * MINUTE, () => {
    world.rootKeys.set(rootKeyId, 'ENABLED');
    tell(world, ends, rootKeyId);
    // A key whose deletion is called off is disabled until somebody enables it.
    if (kind === 'root-key-deletion-pending') tell(world, 'EnableKey', rootKeyId);
  });
}

/** New material of the same key; what the old one wrapped still unwraps. */
export function rotateRootKey(world: World, { choice }: Action): void {
  const rootKeyId = rootKeyOf(world, textIn(choice, 'tenant'));
  world.rootKeys.rotate(rootKeyId);
  tell(world, 'RotateKeyOnDemand', rootKeyId);
}

/** From now on another key wraps what is the tenant's. */
export function replaceRootKey(world: World, { choice }: Action): void {
  const rootKeyId = world.rootKeys.add();
  world.rootKeys.ofTenant.set(textIn(choice, 'tenant'), rootKeyId);
  tell(world, 'CreateKey', rootKeyId);
}

export function rootKeyOf({ rootKeys }: World, tenant: string): string {
  return rootKeys.provider.rootKeyFor(tenant);
}

/** As EventBridge delivers what CloudTrail recorded (events/rules.json). */
function tell({ bus, dice, scheduler }: World, eventName: string, rootKeyId: string): void {
  const [, , , region, account] = rootKeyId.split(':');
  bus.emit({
    version: '0',
    id: `event-${dice.below(2 ** 31)}`,
    'detail-type': 'AWS API Call via CloudTrail',
    source: 'aws.kms',
    account,
    time: new Date(scheduler.now()).toISOString(),
    region,
    resources: [],
    detail: {
      eventSource: 'kms.amazonaws.com',
      eventName,
      requestParameters: eventName === 'CreateKey' ? null : { keyId: rootKeyId },
      responseElements: eventName === 'CreateKey' ? { keyMetadata: { arn: rootKeyId } } : null,
      resources: [{ ARN: rootKeyId, type: 'AWS::KMS::Key' }],
    },
  });
}
