import { z } from 'zod';

/** The `deployment` section of a stage's file (keyturn.<stage>.yaml): what `npm run deploy` makes in AWS. */

const arnOf = (service: string, resource: string, says: string) =>
  z.string().regex(new RegExp(`^arn:aws(-[a-z]+)*:${service}:[a-z0-9-]*:[0-9]{12}:${resource}$`), says);

const roleArn = arnOf('iam', 'role/[\\w+=,.@/-]+', 'must be the ARN of an IAM role');

/** D/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html */
const RETENTION_DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653];

const schedule = z.strictObject({
  expression: z
    .string()
    .regex(/^(cron|rate)\(.+\)$/, 'must be cron(…) or rate(…) of EventBridge Scheduler')
    .describe('When it runs: cron(…) or rate(…) of EventBridge Scheduler')
    .optional(),
  timezone: z.string().min(1).describe('Time zone of the expression, such as Europe/Berlin').optional(),
  flexibleWindowMinutes: z
    .int()
    .min(0)
    .max(1440)
    .describe('It starts at any minute of this window; 0: on time')
    .optional(),
});

export const deploymentSchema = z.strictObject({
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-[0-9]$/, 'must be an AWS region such as eu-central-1')
    .describe('The one AWS region of the stack'),
  vpc: z
    .strictObject({
      subnetIds: z
        .array(z.string().regex(/^subnet-[0-9a-f]+$/, 'must be a subnet id'))
        .min(1)
        .max(16)
        .describe('Private subnets that reach the database and, by NAT or VPC endpoints, the AWS services'),
      securityGroupIds: z
        .array(z.string().regex(/^sg-[0-9a-f]+$/, 'must be a security group id'))
        .min(1)
        .max(5)
        .describe('Security groups that may reach the database and port 443'),
    })
    .describe('Where the functions that open record stores run. Left out: outside any VPC')
    .optional(),
  worker: z
    .strictObject({
      concurrency: z
        .int()
        .min(2)
        .max(1000)
        .default(20)
        .describe('Most workers at one time. With PostgreSQL, times maxConnections is its connections'),
      memoryMb: z
        .int()
        .min(128)
        .max(10_240)
        .default(1769)
        .describe('Memory of a worker; at 1769 MB it has one full CPU'),
      batchSize: z.int().min(1).max(10).default(4).describe('Most messages that one call of a worker takes'),
    })
    .prefault({})
    .describe('The functions that rewrap records'),
  dataKeys: z
    .array(arnOf('kms', 'key/[\\w-]+', 'must be the ARN of a KMS key, never an alias'))
    .max(10)
    .default([])
    .describe(
      'KMS keys of your own that encrypt record tables in DynamoDB or the secrets of stores: functions that open those may decrypt with them, through these services only',
    ),
  alarmEmail: z.email().describe('Who is told of alarms. They have to confirm a first mail').optional(),
  logRetentionDays: z
    .int()
    .min(1)
    .max(3653)
    .refine((days) => RETENTION_DAYS.includes(days), `must be one of ${RETENTION_DAYS.join(', ')}`)
    .default(90)
    .describe('How long CloudWatch keeps the logs'),
  auditRetentionDays: z
    .int()
    .min(1)
    .max(36_500)
    .default(365)
    .describe(
      'How long what is exported of the audit chain can be deleted by nobody, the account itself not excepted. 1 for a trial',
    ),
  schedules: z
    .partialRecord(z.enum(['sweep', 'monitor', 'root-keys', 'export-audit']), schedule)
    .default({})
    .describe('Changes to the schedules of events/schedules.json'),
  rootKey: z
    .strictObject({
      rotationPeriodDays: z
        .int()
        .min(90)
        .max(2560)
        .default(365)
        .describe('How often KMS makes new material for it'),
    })
    .prefault({})
    .describe('The root key that the stack makes where provider.rootKey is left out'),
  applicationRoles: z
    .array(roleArn)
    .max(100)
    .default([])
    .describe('IAM roles of the applications that seal and open values: the root key lets them unwrap KEKs'),
  operatorRoles: z
    .array(roleArn)
    .max(20)
    .default([])
    .describe(
      'IAM roles of the people who use the command line: the root key lets them make and unwrap KEKs',
    ),
  tags: z
    .record(z.string().min(1).max(128), z.string().max(256))
    .default({})
    .describe('Tags of every resource of the stack'),
});

export type DeploymentConfig = z.output<typeof deploymentSchema>;
