import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';

/** A proxy in front of a DynamoDB that does what DynamoDB does on a bad day: throttles, refuses, loses answers. */
export interface FaultyDynamoDb {
  readonly endpoint: string;
  /** Decides on each request, in the order they come. Default: all pass. */
  fault: (operation: string, body: Json) => Fault | Promise<Fault>;
  /** Requests that came, by operation. */
  readonly counts: Map<string, number>;
  stop(): Promise<void>;
}

export type Json = Record<string, unknown>;

export type Fault =
  | 'pass'
  /** It is done, and the connection breaks before the answer. */
  | 'lose-answer'
  /** Answered with this error, and not done. */
  | { readonly error: string }
  /** Done for other input, and answered with other output. */
  | { readonly input?: Json; readonly output: (output: Json) => Json };

const jsonObject = z.record(z.string(), z.unknown());

export async function startFaultyDynamoDb(target: string): Promise<FaultyDynamoDb> {
  const proxy: FaultyDynamoDb = {
    endpoint: '',
    fault: () => 'pass',
    counts: new Map(),
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  const server = createServer(async (request, response) => {
    const operation = operationOf(request);
    const input = jsonObject.parse(JSON.parse((await buffer(request)).toString()));
    proxy.counts.set(operation, (proxy.counts.get(operation) ?? 0) + 1);
    const fault = await proxy.fault(operation, input);
    const headers = { 'content-type': 'application/x-amz-json-1.0' };
    if (typeof fault === 'object' && 'error' in fault) {
      response.writeHead(400, headers).end(JSON.stringify({ __type: `com.amazon#${fault.error}` }));
      return;
    }
    const changes = typeof fault === 'object' ? fault : undefined;
    const answer = await fetch(target, {
      method: 'POST',
      headers: { ...headers, ...signed(request) },
      body: JSON.stringify(changes?.input ?? input),
    });
    const text = await answer.text();
    if (fault === 'lose-answer') {
      request.socket.destroy();
      return;
    }
    const output =
      changes === undefined ? text : JSON.stringify(changes.output(jsonObject.parse(JSON.parse(text))));
    response.writeHead(answer.status, headers).end(output);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return Object.assign(proxy, { endpoint: `http://127.0.0.1:${address.port}` });
}

function operationOf({ headers }: IncomingMessage): string {
  return String(headers['x-amz-target']).replace(/^.*\./, '');
}

function signed({ headers }: IncomingMessage): Record<string, string> {
  return {
    'x-amz-target': String(headers['x-amz-target']),
    authorization: String(headers.authorization),
    'x-amz-date': String(headers['x-amz-date']),
  };
}
