import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import type { Clients, ResourceNames } from '../shared/deps/compose.ts';

/** What a running embedded stack leaves in its folder for the command line to find it. */
export const stackInfoSchema = z.object({
  pid: z.int().positive(),
  startedAt: z.iso.datetime(),
  config: z.string(),
  endpoints: z.object({
    dynamodb: z.url(),
    sqs: z.url(),
    stepFunctions: z.url(),
    /** A stack of an earlier version has no bus: nobody listens on the discard port. */
    eventBridge: z.url().default('http://127.0.0.1:9'),
  }),
  ledgerTable: z.string(),
  queueUrl: z.url(),
  deadLetterQueueUrl: z.url(),
  busName: z.string().default('keyturn'),
  /** Where events end that a function could not handle. null: a stack of an earlier version. */
  eventDeadLetterQueueUrl: z.url().nullable().default(null),
  stateMachineArns: z.object({
    'rotate-key': z.string(),
    'purge-version': z.string(),
    'adopt-records': z.string(),
  }),
  /** With the password: the file is mode 0600. null: no store uses the embedded PostgreSQL. */
  postgresUrl: z.string().nullable(),
});

export type StackInfo = z.infer<typeof stackInfoSchema>;

const FILE = 'stack.json';

export async function writeStackInfo(dir: string, info: StackInfo): Promise<void> {
  const temporary = join(dir, `${FILE}.${info.pid}`);
  await writeFile(temporary, `${JSON.stringify(info, null, 2)}\n`, { mode: 0o600 });
  await chmod(temporary, 0o600);
  await rename(temporary, join(dir, FILE));
}

export async function removeStackInfo(dir: string): Promise<void> {
  await rm(join(dir, FILE), { force: true });
}

/** null: no stack runs in this folder. A file that a killed stack left behind counts as none. */
export async function readStackInfo(dir: string): Promise<StackInfo | null> {
  const info = await readFile(join(dir, FILE), 'utf8').then(parseStackInfo, () => null);
  return info !== null && isAlive(info.pid) && (await answers(info)) ? info : null;
}

function parseStackInfo(text: string): StackInfo | null {
  try {
    return stackInfoSchema.parse(JSON.parse(text));
  } catch {
    return null;
  }
}

const ANSWER_MS = 5_000;

/**
 * After a crash the pid may be anybody's: what listens must speak our protocol. One that listens and stays silent
 * is taken for a stack that is busy.
 */
async function answers({ endpoints }: StackInfo): Promise<boolean> {
  try {
    const reply = await fetch(endpoints.stepFunctions, {
      method: 'POST',
      headers: { 'x-amz-target': 'AWSStepFunctions.DescribeExecution' },
      body: JSON.stringify({ executionArn: 'none' }),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return (await reply.text()).includes('ExecutionDoesNotExist');
  } catch (error) {
    return error instanceof Error && error.name === 'TimeoutError';
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

const COMMON = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };

/** Where the tables of dynamodb stores are on one machine: beside the ledger. */
export function embeddedDynamoDb({ dynamodb }: Pick<StackInfo['endpoints'], 'dynamodb'>) {
  return { ...COMMON, endpoint: dynamodb };
}

/** The SDK's clients at the embedded stack's endpoints. Its engines check no credentials, so these are none. */
export function createLocalClients(endpoints: StackInfo['endpoints']): Clients {
  return {
    dynamodb: new DynamoDBClient(embeddedDynamoDb(endpoints)),
    sqs: new SQSClient({ ...COMMON, endpoint: endpoints.sqs, useQueueUrlAsEndpoint: false }),
    stepFunctions: new SFNClient({ ...COMMON, endpoint: endpoints.stepFunctions }),
    eventBridge: new EventBridgeClient({ ...COMMON, endpoint: endpoints.eventBridge }),
  };
}

export function localResourceNames(info: StackInfo): ResourceNames {
  return {
    ledgerTable: info.ledgerTable,
    queueUrl: info.queueUrl,
    busName: info.busName,
    stateMachineArns: info.stateMachineArns,
  };
}

export function embeddedUrl(postgresUrl: string | null): ((database: string) => string) | undefined {
  if (postgresUrl === null) return undefined;
  return (database) => {
    const url = new URL(postgresUrl);
    url.pathname = `/${encodeURIComponent(database)}`;
    return url.href;
  };
}
