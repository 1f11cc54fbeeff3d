import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EVENT_FUNCTIONS } from '../../functions/index.ts';
import { parseRules, RULES, SCHEDULES } from '../../local/event-parts.ts';
import { eventPatternSchema, matches } from '../../local/event-pattern.ts';
import { requestDetail } from '../support/bus-events.ts';
import { apiCall, kmsEvent, rotationRequested, serviceEvent } from '../support/events.ts';
import { RECORDED_EVENTS } from '../support/recorded-events.ts';

const matching = (bus: 'default' | 'keyturn', event: object): string[] =>
  Object.entries(RULES)
    .filter(([, rule]) => rule.bus === bus && matches(rule.pattern, event))
    .map(([name]) => name);

describe('the rules of events/rules.json', () => {
  it.each([
    ['rotation-requests', 'keyturn', rotationRequested(requestDetail())],
    ['kms-native', 'default', kmsEvent('KMS CMK Rotation')],
    ['kms-native', 'default', kmsEvent('KMS Imported Key Material Expiration')],
    ['kms-native', 'default', kmsEvent('KMS CMK Deletion')],
    ...[
      'RotateKeyOnDemand',
      'ImportKeyMaterial',
      'DeleteImportedKeyMaterial',
      'DisableKey',
      'EnableKey',
      'ScheduleKeyDeletion',
      'CancelKeyDeletion',
      'CreateKey',
      'PutKeyPolicy',
      'EnableKeyRotation',
      'DisableKeyRotation',
    ].map((eventName) => ['kms-api-calls', 'default', apiCall(eventName)] as const),
    ...['RotateKey', 'DeleteKey', 'DeleteExpiredKeyMaterial'].map(
      (eventName) => ['kms-service-events', 'default', serviceEvent(eventName)] as const,
    ),
  ] as const)('%s takes an event of the %s bus, and no other rule does', (rule, bus, event) => {
    expect(matching(bus, event)).toEqual([rule]);
    expect(matching(bus === 'default' ? 'keyturn' : 'default', event)).toEqual([]);
  });

  it.each([
    ['a call that only reads', 'default', apiCall('DescribeKey')],
    ['a call that uses a key', 'default', apiCall('Decrypt')],
    ['a service event by the name of a call', 'default', apiCall('RotateKey')],
    ['a call by the name of a service event', 'default', serviceEvent('RotateKeyOnDemand')],
    [
      'another service’s call of this name',
      'default',
      apiCall('CreateKey', { eventSource: 'iam.amazonaws.com' }),
    ],
    ['another spelling', 'default', apiCall('disableKey')],
    ['another source', 'default', { ...apiCall('DisableKey'), source: 'custom.kms' }],
    ['no detail', 'default', { ...apiCall('DisableKey'), detail: {} }],
    ['a native event of another kind', 'default', kmsEvent('KMS Custom Key Store')],
    ['a native event from elsewhere', 'default', { ...kmsEvent('KMS CMK Rotation'), source: 'shop' }],
    [
      'a request in another spelling',
      'keyturn',
      { ...rotationRequested({}), 'detail-type': 'tenantKeyRotationRequested' },
    ],
    [
      'what Keyturn publishes itself',
      'keyturn',
      { ...rotationRequested({}), 'detail-type': 'KeyRotationCompleted' },
    ],
  ] as const)('take not %s', (_, bus, event) => {
    expect(matching(bus, event)).toEqual([]);
  });

  it('name functions that there are, and stay within EventBridge’s limit of a pattern', () => {
    for (const rule of Object.values(RULES)) {
      expect(Object.keys(EVENT_FUNCTIONS)).toContain(rule.function);
      expect(JSON.stringify(rule.pattern).length).toBeLessThan(2048);
    }
  });
});

describe('the recorded events', () => {
  const absent = RECORDED_EVENTS.length === 0;

  it.skipIf(absent)('match one rule each (skipped without ../shared/events)', () => {
    const taken = new Set<string>();
    for (const [name, recorded] of RECORDED_EVENTS) {
      const event = z.looseObject({}).parse(recorded);
      const rules = matching('default', event);
      expect(rules, name).toHaveLength(1);
      for (const rule of rules) taken.add(rule);
    }
    expect([...taken].sort()).toEqual(['kms-api-calls', 'kms-native', 'kms-service-events']);
  });
});

describe('a pattern', () => {
  it.each([
    ['a text of several', { a: ['x', 'y'] }, { a: 'y' }, true],
    ['another text', { a: ['x'] }, { a: 'xx' }, false],
    ['a missing field', { a: ['x'] }, {}, false],
    ['null', { a: ['x'] }, { a: null }, false],
    ['a number that reads the same', { a: ['1'] }, { a: 1 }, false],
    ['a list that has it', { a: ['x'] }, { a: ['q', 'x'] }, true],
    ['a list that has it not', { a: ['x'] }, { a: ['q'] }, false],
    ['an empty list', { a: ['x'] }, { a: [] }, false],
    ['an object for a text', { a: ['x'] }, { a: { x: 'x' } }, false],
    ['fields within', { d: { a: ['x'] } }, { d: { a: 'x', b: 1 } }, true],
    ['a text for an object', { d: { a: ['x'] } }, { d: 'x' }, false],
    ['all of several fields', { a: ['x'], b: ['y'] }, { a: 'x', b: 'z' }, false],
    ['what every object inherits', { toString: ['x'] }, {}, false],
  ])('compares with %s', (_, pattern, event, expected) => {
    expect(matches(eventPatternSchema.parse(pattern), event)).toBe(expected);
  });

  it.each([
    ['prefix', { source: [{ prefix: 'aws.' }] }],
    ['exists', { detail: { error: [{ exists: false }] } }],
    ['anything-but', { source: [{ 'anything-but': ['x'] }] }],
    ['$or', { $or: [{ source: ['a'] }, { source: ['b'] }] }],
    ['a number', { detail: { days: [1] } }],
    ['null', { detail: { error: [null] } }],
    ['a text without a list', { source: 'aws.kms' }],
    ['an empty list', { source: [] }],
    ['an empty pattern', {}],
    ['an empty object within', { detail: {} }],
  ])('with %s is refused when it is read, not taken for one that never matches', (_, pattern) => {
    expect(() => parseRules({ bad: { bus: 'default', function: 'sweep', pattern } })).toThrow();
  });

  it('is refused for a bus or a function that there is not, or with a field too many', () => {
    const rule = { bus: 'keyturn', function: 'sweep', pattern: { source: ['a'] } };
    expect(parseRules({ good: rule })).toEqual({ good: rule });
    for (const bad of [
      { ...rule, bus: 'other' },
      { ...rule, function: 'toString' },
      { ...rule, function: 'none' },
      { ...rule, retries: 1 },
    ])
      expect(() => parseRules({ bad })).toThrow();
  });
});

describe('the schedules of events/schedules.json', () => {
  it('sweep daily at a time of its own, in a zone, and not at the full hour, when everybody does', () => {
    const { expression, timezone, flexibleWindowMinutes } = SCHEDULES.sweep;
    expect(expression).toMatch(/^cron\([1-9]\d? \d+ \* \* \? \*\)$/);
    expect(() => new Intl.DateTimeFormat('en', { timeZone: timezone })).not.toThrow();
    expect(flexibleWindowMinutes).toBeGreaterThan(0);
  });

  it('measure every fifteen minutes, and give up on a measurement before the next', () => {
    expect(SCHEDULES.monitor).toMatchObject({ expression: 'rate(15 minutes)', flexibleWindowMinutes: 0 });
    expect(SCHEDULES.monitor.maxEventAgeSeconds).toBeLessThanOrEqual(900);
  });
});
