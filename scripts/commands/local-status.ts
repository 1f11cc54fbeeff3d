import { z } from 'zod';
import { createLocalClients, embeddedUrl, readStackInfo, type StackInfo } from '../../local/stack-info.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { defineCommand, option } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { count, duration } from '../cli/format.ts';
import { readQueueDepth } from '../cli/queue-depth.ts';
import { findStackFolder } from '../cli/session.ts';
import { stackJson, stackLines } from '../cli/stack-words.ts';

export const localStatus = defineCommand({
  name: 'local status',
  summary: 'Show the embedded stack',
  details:
    'Prints its process, time up, folder, endpoints and the depth of its queues. The URL of the embedded PostgreSQL\n' +
    'has a password and is printed only with --show-url, with the URL of each store that is in it: postgresUrl itself opens\n' +
    'the database "postgres", which no store uses. Ends with exit code 5 when no stack runs.',
  json: '{status: "running" | "not-running", dir, pid, startedAt, uptimeSeconds, config, endpoints, busName, queue, deadLetterQueue, eventDeadLetterQueue, postgresUrl?, storeUrls?: {store: URL}}',
  options: [option('--show-url', 'Also print the PostgreSQL URL, with its password')],
  examples: [
    { line: 'keyturn local status', says: 'is it up, and how busy' },
    {
      line: 'psql "$(keyturn local status --show-url --json | jq -r .storeUrls.main)"',
      says: 'connect to the database of the store "main"',
    },
  ],
  input: z.object({ showUrl: z.boolean().default(false) }),
  run: async ({ showUrl }, { out, ...place }) => {
    const dir = await findStackFolder({ ...place });
    const info = await readStackInfo(dir);
    if (info === null) {
      out.line(`No stack runs in ${dir}. Start it with \`keyturn local start\`.`);
      out.result({ status: 'not-running', dir });
      return EXIT_CODES.unavailable.code;
    }
    const { queue, deadLetterQueue, eventDeadLetterQueue } = await readQueues(info);
    const uptimeSeconds = Math.round((Date.now() - Date.parse(info.startedAt)) / 1000);
    out.line(`The stack has run for ${duration(uptimeSeconds)}.`);
    for (const line of stackLines(dir, info)) out.line(line);
    out.line(`  queue           ${count(queue.waiting)} waiting, ${count(queue.inFlight)} being worked on`);
    const dead = deadLetterQueue.waiting + deadLetterQueue.inFlight;
    out.line(`  dead letters    ${dead === 0 ? '0' : out.paint('yellow', count(dead))}`);
    const events = eventDeadLetterQueue.waiting + eventDeadLetterQueue.inFlight;
    out.line(`  dead events     ${events === 0 ? '0' : out.paint('yellow', count(events))}`);
    const storeUrls = showUrl ? await readStoreUrls(info) : {};
    if (showUrl) out.line(`  PostgreSQL URL  ${info.postgresUrl ?? 'not used'}`);
    for (const [store, url] of Object.entries(storeUrls)) out.line(`  store ${store.padEnd(10)}${url}`);
    out.result({
      status: 'running',
      ...stackJson(dir, info),
      uptimeSeconds,
      queue,
      deadLetterQueue,
      eventDeadLetterQueue,
      ...(showUrl && { postgresUrl: info.postgresUrl, storeUrls }),
    });
    return EXIT_CODES.done.code;
  },
});

/** Of the stores that stand in the embedded PostgreSQL, by the configuration that the stack was started with. */
async function readStoreUrls({ config: path, postgresUrl }: StackInfo): Promise<Record<string, string>> {
  const urlOf = embeddedUrl(postgresUrl);
  if (urlOf === undefined) return {};
  const { config } = await loadConfig(path);
  const urls = Object.entries(config.stores).flatMap(([name, store]) =>
    store.type === 'postgres' && store.embedded !== undefined ? [[name, urlOf(store.embedded)] as const] : [],
  );
  return Object.fromEntries(urls);
}

async function readQueues(info: StackInfo) {
  const clients = createLocalClients(info.endpoints);
  try {
    return {
      queue: await readQueueDepth(clients.sqs, info.queueUrl),
      deadLetterQueue: await readQueueDepth(clients.sqs, info.deadLetterQueueUrl),
      // A stack of an earlier version has none.
      eventDeadLetterQueue:
        info.eventDeadLetterQueueUrl === null
          ? { waiting: 0, inFlight: 0 }
          : await readQueueDepth(clients.sqs, info.eventDeadLetterQueueUrl),
    };
  } finally {
    for (const client of Object.values(clients)) client.destroy();
  }
}
