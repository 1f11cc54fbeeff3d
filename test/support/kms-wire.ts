import { createServer, type Server } from 'node:http';

/**
 * KMS as it is on the wire (AWS JSON 1.1), with answers from a script: for what no emulator says, the names of errors
 * above all. The SDK in front of it is the real one.
 */

export interface KmsRequest {
  readonly operation: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A reply's members; or the name of an error, with the HTTP status when it is not 400; or none, at once or ever. */
export type KmsAnswer =
  | { readonly reply: object }
  | { readonly error: string; readonly status?: number }
  | 'hang up'
  | 'no answer';

export interface KmsWire {
  readonly endpoint: string;
  /** In order of arrival. */
  readonly requests: KmsRequest[];
  answer: (request: KmsRequest, nth: number) => KmsAnswer;
  close(): Promise<void>;
}

export async function startKmsWire(): Promise<KmsWire> {
  const server: Server = createServer(async (request, response) => {
    let text = '';
    for await (const part of request) text += part;
    const operation = String(request.headers['x-amz-target']).replace('TrentService.', '');
    const received = { operation, body: Object(JSON.parse(text)) };
    wire.requests.push(received);
    const answer = wire.answer(received, wire.requests.length);
    if (answer === 'no answer') return;
    if (answer === 'hang up') {
      request.socket.destroy();
      return;
    }
    const body =
      'reply' in answer
        ? answer.reply
        : { __type: answer.error, message: 'SECRET text of KMS, never to be shown' };
    const status = 'reply' in answer ? 200 : (answer.status ?? 400);
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = address !== null && typeof address !== 'string' ? address.port : 0;
  const wire: KmsWire = {
    endpoint: `http://127.0.0.1:${port}`,
    requests: [],
    answer: () => ({ reply: {} }),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return wire;
}
