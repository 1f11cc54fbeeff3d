import { z } from 'zod';
import { RotationError } from '../errors/errors.ts';
import type { Authenticator } from '../ledger/authentication/authenticator.ts';
import { canonicalBytes } from '../signing/canonical-json.ts';
import { asciiJson } from './ascii-json.ts';
import { type ChunkMessage, chunkMessageSchema } from './work-queue.ts';

/**
 * A chunk as it stands in the queue: JSON, with a MAC under the state key. Whoever can write the queue and not the ledger
 * cannot have other records worked on, or a chunk counted that nobody planned.
 */
const bodySchema = chunkMessageSchema.extend({ mac: z.string() });

export async function writeBody(authenticator: Authenticator, message: ChunkMessage): Promise<string> {
  const mac = await authenticator.mac(bytesOf(message));
  return asciiJson({ ...message, mac });
}

/** Throws MESSAGE_INVALID; it ends in the dead-letter queue. `onForged` must not throw. */
export async function readBody(
  authenticator: Authenticator,
  body: string,
  onForged: () => void,
): Promise<ChunkMessage> {
  const parsed = bodySchema.safeParse(parseJson(body));
  if (!parsed.success) throw new RotationError('MESSAGE_INVALID', 'A message of the queue is not a chunk');
  const { mac, ...message } = parsed.data;
  if (await authenticator.verify(bytesOf(message), mac)) return message;
  onForged();
  throw new RotationError(
    'MESSAGE_INVALID',
    'A chunk of the queue was not sent by Keyturn, or not like this',
    {
      remedy: 'Somebody else can write the queue: find out who. It goes to the dead letters.',
    },
  );
}

function bytesOf(message: ChunkMessage): Uint8Array {
  return canonicalBytes({ message });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
