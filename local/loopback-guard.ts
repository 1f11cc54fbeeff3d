import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * The embedded engines check no credentials, so a page in a browser on this machine must not reach them: a request
 * that comes from a page has an Origin, and one by DNS rebinding names another host. The SDK and this program send
 * neither.
 */
export function isForeign({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
  return headers.origin !== undefined || !/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(headers.host ?? '');
}

/** Answers a foreign request; true when it did. */
export function refuseForeign(request: IncomingMessage, response: ServerResponse): boolean {
  if (!isForeign(request)) return false;
  response
    .writeHead(403, { 'content-type': 'text/plain' })
    .end('Only programs on this machine, by 127.0.0.1.\n');
  return true;
}
