import type { z } from 'zod';
import { ROTATION_REQUESTED, type rotationRequestSchema } from '../../shared/bus/rotation-request.ts';
import type { EmittedEvent } from './bus.ts';

/**
 * The events that come in, as AWS and applications send them; the bus adds an id and a time. Which key a KMS event means
 * stands in another place in each kind. D/kms/latest/developerguide/kms-events.html,
 * D/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
 */

export const NATIVE_EVENTS = [
  'KMS CMK Rotation',
  'KMS Imported Key Material Expiration',
  'KMS CMK Deletion',
] as const;
export const API_CALLS = [
  'CancelKeyDeletion',
  'DeleteImportedKeyMaterial',
  'DisableKey',
  'DisableKeyRotation',
  'EnableKey',
  'EnableKeyRotation',
  'ImportKeyMaterial',
  'PutKeyPolicy',
  'RotateKeyOnDemand',
  'ScheduleKeyDeletion',
] as const;
export const SERVICE_EVENTS = ['DeleteExpiredKeyMaterial', 'DeleteKey', 'RotateKey'] as const;

const SOURCE = 'aws.kms';
const EVENT_SOURCE = 'kms.amazonaws.com';

/** KMS's own. `rootKeyId`: an ARN. */
export function kmsNativeEvent(name: (typeof NATIVE_EVENTS)[number], rootKeyId: string): EmittedEvent {
  return {
    source: SOURCE,
    'detail-type': name,
    resources: [rootKeyId],
    detail: { 'key-id': rootKeyId.slice(rootKeyId.lastIndexOf('/') + 1) },
  };
}

/** What somebody called, as CloudTrail has it. `key`: as the caller wrote it: an ARN, a bare id or an alias. */
export function kmsApiCall(eventName: (typeof API_CALLS)[number], key: string): EmittedEvent {
  return {
    source: SOURCE,
    'detail-type': 'AWS API Call via CloudTrail',
    detail: {
      eventSource: EVENT_SOURCE,
      eventName,
      requestParameters: { keyId: key },
      responseElements: null,
      eventType: 'AwsApiCall',
    },
  };
}

/** What KMS did by itself, as CloudTrail has it. */
export function kmsServiceEvent(eventName: (typeof SERVICE_EVENTS)[number], rootKeyId: string): EmittedEvent {
  return {
    source: SOURCE,
    'detail-type': 'AWS Service Event via CloudTrail',
    detail: {
      eventSource: EVENT_SOURCE,
      eventName,
      requestParameters: null,
      responseElements: null,
      resources: [{ type: 'AWS::KMS::Key', ARN: rootKeyId }],
      eventType: 'AwsServiceEvent',
    },
  };
}

/** An application's wish. */
export function rotationRequest(
  detail: Omit<z.input<typeof rotationRequestSchema>, 'schemaVersion'>,
): EmittedEvent {
  return {
    source: 'shop.billing',
    'detail-type': ROTATION_REQUESTED,
    detail: { schemaVersion: 1, ...detail },
  };
}
