import { z } from 'zod';

/**
 * Which keys a KMS event names. Three kinds of events, each with the key in another place (D/kms/latest/developerguide/
 * kms-events.html, D/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html): native ones,
 * API calls, and service events, whose parameters are null. What is not of the expected shape is left out.
 */

/** The longest ARN is far shorter. */
const LONGEST = 2048;
/** No event of KMS names more; a forged one is not worth more. */
const MOST = 20;

const reference = z.string().min(1).max(LONGEST);
const maybe = <T extends z.ZodType>(schema: T) => schema.nullish().catch(null);
const withKeyId = z.object({
  keyId: maybe(reference),
  // UpdateAlias
  targetKeyId: maybe(reference),
  aliasName: maybe(reference),
  // CreateKey, ReplicateKey
  keyMetadata: maybe(z.object({ arn: maybe(reference) })),
});

const kmsEvent = z.object({
  resources: maybe(z.array(z.unknown())),
  detail: maybe(
    z.object({
      'key-id': maybe(reference),
      requestParameters: maybe(withKeyId),
      responseElements: maybe(withKeyId),
      resources: maybe(z.array(z.unknown())),
    }),
  ),
});

const resource = z.object({ ARN: reference });

/** Key ARNs, bare ids, aliases: each once, in no order that means anything. Empty for what is no KMS event. */
export function keyReferences(event: unknown): readonly string[] {
  const parsed = kmsEvent.safeParse(event);
  if (!parsed.success) return [];
  const { resources, detail } = parsed.data;
  const found = [
    detail?.['key-id'],
    ...[detail?.requestParameters, detail?.responseElements].flatMap((part) => [
      part?.keyId,
      part?.targetKeyId,
      part?.aliasName,
      part?.keyMetadata?.arn,
    ]),
    ...(detail?.resources ?? []).map((each) => resource.safeParse(each).data?.ARN),
    ...(resources ?? []).map((each) => reference.safeParse(each).data),
  ];
  const named = found.filter((each) => each !== null && each !== undefined);
  return [...new Set(named)].slice(0, MOST);
}

/**
 * Whether a root key in use may be the one that is named. The account is not compared: the event of a customer's key
 * can name the customer's or ours. What an alias names now says nothing of what it named then, so it may be any.
 */
export function concernsRootKey(named: string, rootKeyId: string): boolean {
  if (named === rootKeyId || isAlias(named)) return true;
  return idOf(named) === idOf(rootKeyId);
}

function isAlias(named: string): boolean {
  return named.startsWith('alias/') || /^arn:[^:]*:kms:[^:]*:[^:]*:alias\//.test(named);
}

/** `arn:aws:kms:region:account:key/id` or the bare id. */
function idOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
