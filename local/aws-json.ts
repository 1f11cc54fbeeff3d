import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';
import { refuseForeign } from './loopback-guard.ts';

/** A server that speaks AWS's JSON protocol on the loopback address, for engines that have none of their own. */

/** By the value of x-amz-target. Throws an AwsError, or a ZodError for a request of a wrong shape. */
export type JsonActions = Readonly<Record<string, (body: unknown) => object>>;

export interface JsonServer {
  readonly endpoint: string;
  stop(): Promise<void>;
}

/** An answer that the SDK turns into the exception of this name. */
export class AwsError extends Error {
  readonly type: string;
  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

export async function startJsonServer(version: '1.0' | '1.1', actions: JsonActions): Promise<JsonServer> {
  const contentType = `application/x-amz-json-${version}`;
  const server = createServer((request, response) => {
    if (!refuseForeign(request, response)) void answer(actions, contentType, request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  actions: JsonActions,
  contentType: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const reply = (status: number, body: object) => {
    response.writeHead(status, { 'content-type': contentType }).end(JSON.stringify(body));
  };
  try {
    const target = String(request.headers['x-amz-target']);
    const action = Object.hasOwn(actions, target) ? actions[target] : undefined;
    if (action === undefined)
      throw new AwsError('UnknownOperationException', 'Not part of the embedded stack');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    reply(200, action(JSON.parse(Buffer.concat(chunks).toString() || '{}')));
  } catch (error) {
    const known =
      error instanceof AwsError
        ? error.type
        : error instanceof z.ZodError
          ? 'ValidationException'
          : undefined;
    reply(known === undefined ? 500 : 400, {
      __type: known ?? 'InternalServerException',
      message: error instanceof AwsError ? error.message : 'The request could not be handled',
    });
  }
}
