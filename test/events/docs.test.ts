import { readFile } from 'node:fs/promises';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startEventBus } from '../../local/event-bus.ts';
import { RULES } from '../../local/event-parts.ts';
import { EVENT_DOCS } from '../../scripts/cli/docs/events.ts';
import { rotationRequestEventSchema } from '../../shared/bus/rotation-request.ts';
import { newUuidV7 } from '../../shared/clock/system.ts';

const read = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const jsonSchema = z.object({
  required: z.array(z.string()),
  properties: z.record(z.string(), z.object({ description: z.string() })),
});

describe('docs/events.md', () => {
  it.each(Object.entries(EVENT_DOCS))(
    'has an example of %s that its schema takes',
    async (type, { schema, example }) => {
      expect(schema.strict().safeParse(example)).toMatchObject({ success: true });
      const page = await read('events.md');
      const section = page.split(/^##+ /m).find((text) => text.startsWith(`${type}\n`)) ?? '';
      const published = jsonSchema.parse(JSON.parse(await read(`events/${type}.v1.json`)));
      for (const [field, { description }] of Object.entries(published.properties)) {
        const needed = published.required.includes(field) ? 'required' : 'optional';
        expect(section).toContain(`| \`${field}\` | ${needed} | ${description} |`);
      }
    },
  );

  it('shows a call of the AWS command line that reaches the function as it must', async () => {
    const [, entries = ''] = /aws events put-events --entries '(.+?)'\n/s.exec(await read('events.md')) ?? [];
    const got: [string, unknown][] = [];
    const bus = await startEventBus({
      rules: RULES,
      invoke: async (name, event) => void got.push([name, event]),
      onDeadLetter: async () => undefined,
      now: Date.now,
      newId: newUuidV7,
    });
    const client = new EventBridgeClient({
      endpoint: bus.endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    });
    const Entries = JSON.parse(entries.replace('keyturn-prod', bus.busName));
    expect(await client.send(new PutEventsCommand({ Entries }))).toMatchObject({ FailedEntryCount: 0 });
    await bus.idle();
    client.destroy();
    await bus.stop();
    expect(got.map(([name]) => name)).toEqual(['rotation-request']);
    expect(rotationRequestEventSchema.parse(got[0]?.[1])).toMatchObject({
      detail: { tenant: 'acme', purpose: 'default', requestedBy: 'security-console' },
    });
  });
});
