import type { Dice } from '../dice.ts';
import type { EmittedEvent } from './bus.ts';
import {
  API_CALLS,
  kmsApiCall,
  kmsNativeEvent,
  kmsServiceEvent,
  NATIVE_EVENTS,
  rotationRequest,
  SERVICE_EVENTS,
} from './incoming-events.ts';

const HOUR = 3_600_000;
/** A root key that nobody has. */
const FOREIGN = 'arn:aws:kms:eu-central-1:999999999999:key/ffffffff-ffff-4fff-8fff-ffffffffffff';

/** What somebody knows who forges events. */
export interface Known {
  readonly tenants: readonly string[];
  /** Their ARNs, as they are now. */
  rootKeys(): readonly string[];
}

/**
 * An event about something that did not happen, by somebody who may put events on the bus: about any root key or tenant
 * that there is, or about none.
 */
export function forgedEvent(dice: Dice, known: Known, now: number): EmittedEvent {
  const rootKey = () => dice.pick([FOREIGN, ...known.rootKeys()]);
  const tenant = () => dice.pick(['nobody', ...known.tenants]);
  const bareId = (arn: string) => arn.slice(arn.lastIndexOf('/') + 1);
  const request = (): EmittedEvent => {
    const requestId = `forged-${dice.below(3)}`;
    return rotationRequest({ tenant: tenant(), requestId, requestedBy: 'somebody' });
  };
  return dice.pick<() => EmittedEvent>([
    () => kmsNativeEvent(dice.pick(NATIVE_EVENTS), rootKey()),
    () => kmsApiCall(dice.pick(API_CALLS), dice.pick([rootKey(), bareId(rootKey()), 'alias/tenants'])),
    () => kmsServiceEvent(dice.pick(SERVICE_EVENTS), rootKey()),
    () => ({ ...kmsNativeEvent(dice.pick(NATIVE_EVENTS), ''), resources: [], detail: {} }),
    request,
    () => ({ ...request(), time: timeOf(now + dice.between(-24, 24) * HOUR) }),
    () => ({ ...request(), detail: { tenant: tenant(), all: true } }),
  ])();
}

/** To the second, as EventBridge gives it. */
export function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}
