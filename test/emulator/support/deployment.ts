import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  CloudFormationClient,
  CreateStackCommand,
  DescribeStackEventsCommand,
  DescribeStackResourcesCommand,
  DescribeStacksCommand,
  UpdateStackCommand,
} from '@aws-sdk/client-cloudformation';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { z } from 'zod';
import { PACKAGE_FOLDER } from '../../../scripts/deploy/package.ts';
import { PROJECT } from '../../../scripts/emulators/cache.ts';
import { run } from '../../../scripts/emulators/run.ts';
import { clientOf } from './emulators.ts';
import type { Emulator } from './server.ts';

/** Packages the service as users do, and deploys the package to ministack. */

export interface Package {
  readonly folder: string;
  readonly createTemplate: string;
  readonly updateTemplate: string;
}

/** By the command that users have. The folder is the project's own: suites that package run one after the other. */
export async function packageStage(stage: string): Promise<Package> {
  const folder = join(PROJECT, PACKAGE_FOLDER);
  await run('npm', ['run', 'package', '--', '--stage', stage], { cwd: PROJECT });
  return {
    folder,
    createTemplate: await readFile(join(folder, 'cloudformation-template-create-stack.json'), 'utf8'),
    updateTemplate: await readFile(join(folder, 'cloudformation-template-update-stack.json'), 'utf8'),
  };
}

/** Physical ids by logical id. */
export type StackResources = ReadonlyMap<string, string>;

/**
 * `serverless deploy` without serverless, which waits for stack events that ministack does not have: the stack with
 * its bucket, the zip files into it, the stack with everything.
 */
export async function deploy(
  ministack: Emulator,
  stackName: string,
  packaged: Package,
): Promise<StackResources> {
  const client = new CloudFormationClient(clientOf(ministack));
  const s3 = new S3Client({ ...clientOf(ministack), forcePathStyle: true });
  const stack = { StackName: stackName, Capabilities: ['CAPABILITY_NAMED_IAM' as const] };
  try {
    await client.send(new CreateStackCommand({ ...stack, TemplateBody: packaged.createTemplate }));
    await settled(client, stackName, 'CREATE_COMPLETE');
    const bucket = (await resourcesOf(client, stackName)).get('ServerlessDeploymentBucket');
    for (const key of artifacts(packaged.updateTemplate)) {
      const body = await readFile(join(packaged.folder, basename(key)));
      await s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
    }
    await client.send(new UpdateStackCommand({ ...stack, TemplateBody: packaged.updateTemplate }));
    await settled(client, stackName, 'UPDATE_COMPLETE');
    return await resourcesOf(client, stackName);
  } finally {
    client.destroy();
    s3.destroy();
  }
}

const functionsOf = z.object({
  Resources: z.record(
    z.string(),
    z.object({
      Type: z.string(),
      Properties: z.object({ Code: z.object({ S3Key: z.string() }).optional() }).optional(),
    }),
  ),
});

function artifacts(template: string): string[] {
  const { Resources } = functionsOf.parse(JSON.parse(template));
  return Object.values(Resources).flatMap(({ Type, Properties }) =>
    Type === 'AWS::Lambda::Function' && Properties?.Code !== undefined ? [Properties.Code.S3Key] : [],
  );
}

const DEADLINE_MS = 300_000;

async function settled(client: CloudFormationClient, stackName: string, wanted: string): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  let status = 'unknown';
  do {
    const { Stacks } = await client.send(new DescribeStacksCommand({ StackName: stackName }));
    status = Stacks?.[0]?.StackStatus ?? status;
    if (status === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  } while (status.endsWith('_IN_PROGRESS') && Date.now() < deadline);
  throw new Error(`Stack ${stackName} is ${status}, not ${wanted}:\n${await reasons(client, stackName)}`);
}

async function reasons(client: CloudFormationClient, stackName: string): Promise<string> {
  const { StackEvents = [] } = await client.send(new DescribeStackEventsCommand({ StackName: stackName }));
  return StackEvents.filter(({ ResourceStatus }) => ResourceStatus?.endsWith('_FAILED'))
    .map((event) => `${event.LogicalResourceId}: ${event.ResourceStatusReason}`)
    .join('\n');
}

async function resourcesOf(client: CloudFormationClient, stackName: string): Promise<StackResources> {
  const { StackResources = [] } = await client.send(
    new DescribeStackResourcesCommand({ StackName: stackName }),
  );
  return new Map(
    StackResources.flatMap(({ LogicalResourceId, PhysicalResourceId }) =>
      LogicalResourceId === undefined || PhysicalResourceId === undefined
        ? []
        : [[LogicalResourceId, PhysicalResourceId] as const],
    ),
  );
}
