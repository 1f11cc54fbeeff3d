/** Events as EventBridge hands them to a function, shaped as AWS records them. */

const KEY_ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

function event(source: string, detailType: string, detail: object): Record<string, unknown> {
  return {
    version: '0',
    id: '00000000-0000-4000-8000-000000000009',
    'detail-type': detailType,
    source,
    account: '111122223333',
    time: '2026-11-01T03:11:54Z',
    region: 'eu-central-1',
    resources: [],
    detail,
  };
}

export function rotationRequested(detail: object): Record<string, unknown> {
  return event('shop.billing', 'TenantKeyRotationRequested', detail);
}

export function kmsEvent(detailType: string): Record<string, unknown> {
  return { ...event('aws.kms', detailType, { 'key-id': KEY_ARN.split('/')[1] }), resources: [KEY_ARN] };
}

export function apiCall(eventName: string, changes: object = {}): Record<string, unknown> {
  return event('aws.kms', 'AWS API Call via CloudTrail', {
    eventSource: 'kms.amazonaws.com',
    eventName,
    requestParameters: { keyId: KEY_ARN },
    responseElements: null,
    eventType: 'AwsApiCall',
    ...changes,
  });
}

export function serviceEvent(eventName: string): Record<string, unknown> {
  return event('aws.kms', 'AWS Service Event via CloudTrail', {
    eventSource: 'kms.amazonaws.com',
    eventName,
    requestParameters: null,
    responseElements: null,
    resources: [{ accountId: '111122223333', type: 'AWS::KMS::Key', ARN: KEY_ARN }],
    eventType: 'AwsServiceEvent',
  });
}
