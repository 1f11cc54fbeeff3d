import { z } from 'zod';
import rules from '../../../events/rules.json' with { type: 'json' };
import { type KeyturnEvent, PUBLISHED_EVENTS, type PublishedEventType } from '../../../shared/bus/events.ts';
import { ROTATION_REQUESTED, rotationRequestSchema } from '../../../shared/bus/rotation-request.ts';

/** docs/events.md and docs/events/: every event in and out, its JSON Schema, an example. */

const ABOUT = {
  schemaVersion: 1,
  tenant: 'acme',
  purpose: 'default',
  keyId: '0198c0de-7a11-7c3e-9d52-4b1f0a6e2c77',
  jobId: '7b1a2f60-5c1d-5f0e-8a44-6f2f3c9d1e05',
} as const;
const BLOCKED = { attempt: 1, blocker: 'STALE_RECORDS', blockedAt: '2026-03-01T02:40:11.000Z' } as const;

type Examples = {
  readonly [Type in PublishedEventType]: Extract<KeyturnEvent, { detailType: Type }>['detail'];
};
const PUBLISHED_EXAMPLES: Examples = {
  KeyRotationCompleted: {
    ...ABOUT,
    from: 3,
    to: 4,
    completedAt: '2026-03-01T02:31:40.000Z',
    purgeNotBefore: '2026-04-05T02:36:40.000Z',
  },
  KeyRotationBlocked: { ...ABOUT, from: 3, ...BLOCKED },
  KeyVersionPurged: { ...ABOUT, version: 3, completedAt: '2026-04-05T02:52:09.000Z' },
  KeyVersionPurgeBlocked: { ...ABOUT, version: 3, ...BLOCKED },
};

const REQUEST_EXAMPLE: z.input<typeof rotationRequestSchema> = {
  schemaVersion: 1,
  tenant: 'acme',
  reason: 'suspected-leak',
  requestId: '5f0c2a34-1f0e-4a54-9d3b-2a7c6e1f8b90',
  requestedBy: 'security-console',
};

/** Every event with a schema of its own, and the detail of an example. */
export const EVENT_DOCS: Readonly<
  Record<string, { readonly schema: z.ZodObject; readonly example: object }>
> = {
  [ROTATION_REQUESTED]: { schema: rotationRequestSchema, example: REQUEST_EXAMPLE },
  ...Object.fromEntries(
    Object.entries(PUBLISHED_EVENTS).map(([type, schema]) => [
      type,
      { schema, example: Object.entries(PUBLISHED_EXAMPLES).find(([name]) => name === type)?.[1] ?? {} },
    ]),
  ),
};

/** docs/events/<detail-type>.v1.json: the JSON Schema of the event's detail. */
export const EVENT_SCHEMA_PAGES: Readonly<Record<string, () => string>> = Object.fromEntries(
  Object.entries(EVENT_DOCS).map(([type, { schema }]) => [
    `events/${fileOf(type)}`,
    () => `${JSON.stringify({ title: type, ...z.toJSONSchema(schema, { io: 'input' }) }, null, 2)}\n`,
  ]),
);

function fileOf(type: string): string {
  return `${type}.v1.json`;
}

const requestJson = JSON.stringify(REQUEST_EXAMPLE);

export function eventsPage(): string {
  return `<!-- Made from shared/bus/ and events/rules.json by scripts/cli/docs/events.ts; a test checks that it is current. -->
# Events

Keyturn has a bus of its own on EventBridge, named as the service and its stage (\`keyturn-prod\`; \`keyturn\` in the embedded
stack). Applications put requests on it, and Keyturn publishes there what became of its jobs. AWS's own events about KMS keys
come over the account's default bus.

Every event is best effort: it may be lost, late, doubled or forged. One that comes in only makes Keyturn read the truth
again, and the daily sweep finds what was missed; of those that go out, the ledger has the truth (\`keyturn status\`).

| event | direction | JSON Schema of its detail |
|---|---|---|
${Object.keys(EVENT_DOCS)
  .map(
    (type) =>
      `| [\`${type}\`](#${type.toLowerCase()}) | ${directionOf(type)} | [${fileOf(type)}](events/${fileOf(type)}) |`,
  )
  .join('\n')}
| [KMS events](#kms-events) | in | AWS's own |

A detail has \`schemaVersion\`. Fields may be added to what goes out without a new one; a field is never removed and never
changes its meaning within one. No event holds a value of a record, key bytes or the name of a person.

## ${ROTATION_REQUESTED}

${rotationRequestSchema.description}. Put it on Keyturn's bus; the \`source\` is your own, the rule matches by the \`detail-type\`.

${fieldTable(rotationRequestSchema)}

Other fields are refused. \`requestedBy\` and \`reason\` are ids and words, without blanks and \`@\`, because they are kept in the
ledger and shown: no names, no addresses.

\`\`\`sh
aws events put-events --entries '[{
  "EventBusName": "keyturn-prod",
  "Source": "com.example.security",
  "DetailType": "${ROTATION_REQUESTED}",
  "Detail": ${JSON.stringify(requestJson)}
}]'
\`\`\`

\`\`\`ts
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';

const reply = await new EventBridgeClient().send(
  new PutEventsCommand({
    Entries: [
      {
        EventBusName: 'keyturn-prod',
        Source: 'com.example.security',
        DetailType: '${ROTATION_REQUESTED}',
        Detail: JSON.stringify(${JSON.stringify(REQUEST_EXAMPLE, null, 2).split('\n').join('\n        ')}),
      },
    ],
  }),
);
// PutEvents succeeds as a call also where it did not take an entry.
if (reply.FailedEntryCount !== 0) throw new Error(reply.Entries?.[0]?.ErrorCode);
\`\`\`

On the embedded stack the same client works with \`endpoints.eventBridge\` of \`.keyturn/stack.json\` as its endpoint, any
credentials, and the bus \`keyturn\`.

What becomes of it:

- **A rotation starts.** While one of this key runs, the answer is the running one; one that is blocked is taken up again.
- **A person called that rotation off** (\`keyturn cancel\`, before its version was activated): nothing happens, whenever the request
  was sent. Only a person begins it anew, with \`keyturn rotate\`.
- **Repeated, doubled, late:** still one rotation. A request asks for a rotation of the version that was active when it was sent
  (the event's \`time\`); where the key was rotated since, there is nothing left to do. \`requestId\` is for the audit: it
  stands in the job, as \`keyturn status --json\` shows it.
- **Again and again:** each request that is made after a rotation starts the next one: there is no least time between them. A key can
  have some 300 versions, or 136 where they come faster than they are purged ([Where it ends](cost-and-scale.md#where-it-ends)).
- **Not valid** (a field missing, misspelt or of a wrong form, a \`time\` that lies minutes in the future), **or for a key that is not there:** refused. The log has the
  field names and never what they hold, the metric \`RequestsRefused\` counts every try, and after Lambda's two repeats the
  event is in the dead-letter queue (\`keyturn-prod-event-dead-letters\`) with the error beside it. Mend the sender; a refused
  event never becomes valid by itself. Where the tenant is known, its audit has the refusal, once a day (\`request.refused\`).
- **A fault that passes** (the ledger throttles): tried again by Lambda, then in the same queue. Send it again from there at
  any time; if it is too late, nothing happens.

### Who may send it

In the same account a role needs no more than this, and no policy on the bus:

\`\`\`json
${JSON.stringify(SENDER_POLICY, null, 2)}
\`\`\`

From another account the bus needs the policy besides, with \`"Principal": {"AWS": "arn:aws:iam::<their account>:role/<their role>"}\`
in the same statement. Without the condition on the detail-type a sender could publish events in Keyturn's name; listeners
should match \`"source": ["keyturn"]\`, and no sender's policy should allow that source.

## What Keyturn publishes

\`source\` is \`keyturn\`. Published by the step that ends the job, once it is written down; the step does not fail where the bus
does, so that an event may be missing. A step that is repeated may publish twice: \`jobId\` with \`attempt\` or \`completedAt\`
tells. Adoptions are not published: a person asks for each and waits for it.

A rule that takes all of them: \`{"source": ["keyturn"]}\`.

${Object.keys(PUBLISHED_EVENTS).map(published).join('\n')}
## KMS events

They come over the account's default bus; an event on Keyturn's bus that looks like one is not looked at. The API calls and
service events need a CloudTrail trail that records management events. Each makes Keyturn ask KMS about the key again.

What cannot be done at that moment (KMS does not answer, a key fails) makes the call fail after everything else is done: Lambda
tries twice more, and then the event is in the dead-letter queue (\`keyturn-prod-event-dead-letters\`). An event that names no key is
counted (\`KmsEventsUnreadable\`) and answered, because it would never become readable.

| rule | detail-type | names |
|---|---|---|
${kmsRows()}

### Root keys in other accounts

AWS delivers the events of a customer's root key in the customer's account. Without them:

- That the key cannot be used is noticed by whoever uses it (a step, a worker, an application), and by the daily sweep.
- That it can be used again is noticed within 15 minutes: the schedule \`root-keys\` of
  [events/schedules.json](../events/schedules.json) asks for root keys for which versions are suspended or jobs paused, and for
  those that wrap nothing in use yet. Where there are none it asks for nothing.

An owner who wants both at once forwards the events. In the customer's account: rules on the default bus with the patterns of
\`kms-native\`, \`kms-api-calls\` and \`kms-service-events\`, each with the target
\`arn:aws:events:<region>:<Keyturn's account>:event-bus/default\` and a role that may \`events:PutEvents\` there. In Keyturn's
account: a policy of the default bus that lets them in:

\`\`\`json
${JSON.stringify(FORWARDING_POLICY, null, 2)}
\`\`\`

EventBridge keeps the source \`aws.kms\` of what a rule forwards, so that Keyturn's rules match it; nobody can make up
events of that source. They are believed as little as any other: they only make Keyturn look.

The rules are in [events/rules.json](../events/rules.json); the deployment and the embedded stack read this very file.
`;
}

const SENDER_POLICY = {
  Effect: 'Allow',
  Action: 'events:PutEvents',
  Resource: 'arn:aws:events:eu-central-1:111122223333:event-bus/keyturn-prod',
  Condition: {
    StringEquals: { 'events:detail-type': ROTATION_REQUESTED, 'events:source': 'com.example.security' },
  },
} as const;

const FORWARDING_POLICY = {
  Version: '2012-10-17',
  Statement: [
    {
      Sid: 'KmsEventsOfTheOwner',
      Effect: 'Allow',
      Principal: { AWS: 'arn:aws:iam::444455556666:root' },
      Action: 'events:PutEvents',
      Resource: 'arn:aws:events:eu-central-1:111122223333:event-bus/default',
      Condition: { StringEquals: { 'events:source': 'aws.kms' } },
    },
  ],
} as const;

function directionOf(type: string): string {
  return type === ROTATION_REQUESTED ? 'in' : 'out';
}

function published(type: string): string {
  const { schema, example } = EVENT_DOCS[type] ?? { schema: z.object({}), example: {} };
  return `### ${type}

${schema.description}.

${fieldTable(schema)}

\`\`\`json
${JSON.stringify({ source: 'keyturn', 'detail-type': type, detail: example }, null, 2)}
\`\`\`
`;
}

function fieldTable(schema: z.ZodObject): string {
  const rows = Object.entries(schema.shape).map(([name, field]) => {
    const { description } = z.globalRegistry.get(field as z.ZodType) ?? {};
    if (description === undefined) throw new Error(`${name} has no description`);
    const needed = z.safeParse(field as z.ZodType, undefined).success ? 'optional' : 'required';
    return `| \`${name}\` | ${needed} | ${description} |`;
  });
  return ['| field | | meaning |', '|---|---|---|', ...rows].join('\n');
}

function kmsRows(): string {
  const rows = Object.entries(rules).flatMap(([name, { bus, pattern }]) => {
    if (bus !== 'default') return [];
    const names =
      'detail' in pattern ? pattern.detail.eventName.map((event) => `\`${event}\``).join(', ') : '';
    return pattern['detail-type'].map((type) => `| ${name} | ${type} | ${names} |`);
  });
  return rows.join('\n');
}
