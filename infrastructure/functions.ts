import { getAtt } from './cloudformation.ts';
import { commonVariables, type Variable, variables } from './environment.ts';
import { functionName } from './names.ts';
import type { Right } from './rights.ts';
import type { Stage } from './stage.ts';

/** Every function: its size, what it is told and what it may do. One row a folder of functions/. */
export interface FunctionSpec {
  readonly description: string;
  readonly memoryMb: number;
  readonly timeoutSeconds: number;
  readonly variables: readonly Variable[];
  readonly rights: readonly Right[];
  /** What it does with the record stores; it then is in their VPC and may read their secrets. */
  readonly records?: 'list' | 'read' | 'write';
  /** Called by an event or a schedule: what it could not do goes to the dead letters. */
  readonly asynchronous?: true;
}

/** As TimeoutSeconds of the states. */
const STATE_TIMEOUT = 900;
/** A call of the worker takes some messages; the queue shows a message again after six times as long. */
export const WORKER_TIMEOUT = 120;

const LEDGER: Variable[] = ['KEYTURN_LEDGER_TABLE'];
const EVERYTHING: Variable[] = [
  'KEYTURN_LEDGER_TABLE',
  'KEYTURN_QUEUE_URL',
  'KEYTURN_BUS_NAME',
  'KEYTURN_ROTATE_KEY_ARN',
  'KEYTURN_PURGE_VERSION_ARN',
  'KEYTURN_ADOPT_RECORDS_ARN',
  'KEYTURN_ROOT_KEY_ARN',
];

export const FUNCTIONS: Readonly<Record<string, FunctionSpec>> = {
  'create-version': state('Makes the next version of a key, wrapped', {
    rights: ['changeKeys', 'changeJobs', 'wrapKeks'],
  }),
  'prove-version': state('Unwraps the stored version again, before anything names it', {
    rights: ['changeKeys', 'readJobs', 'unwrapKeks'],
  }),
  'activate-version': state('Makes the proved version the active one', {
    rights: ['changeKeys', 'changeJobs'],
  }),
  'plan-sweep': state('Cuts the record sets into segments', {
    rights: ['readKeys', 'changeJobs'],
    records: 'list',
  }),
  'list-segment': state('Lists stale records and queues them in chunks', {
    rights: ['readKeys', 'changeJobs', 'sendChunks'],
    records: 'list',
  }),
  'check-sweep': state('Adds up what the workers have reported', { rights: ['readKeys', 'changeJobs'] }),
  'check-barrier': state('Waits until no writer can hold the old version', { rights: ['changeJobs'] }),
  'take-census': state('Counts key versions from the envelopes themselves', {
    rights: ['readKeys', 'changeJobs'],
    records: 'read',
  }),
  'conclude-round': state('Decides by the census: clean, sweep again, or blocked', {
    rights: ['readKeys', 'changeJobs', 'settleQuarantine'],
    records: 'read',
  }),
  'retire-version': state('Makes the old version decrypt-only until its purge', {
    rights: ['changeKeys', 'changeJobs'],
  }),
  'begin-purge': state('Puts a version before its destruction', {
    rights: ['changeKeys', 'changeJobs'],
    records: 'list',
  }),
  'destroy-version': state('Destroys a version that a census has found unused', {
    rights: ['changeKeys', 'changeJobs', 'settleQuarantine', 'destroyVersionKeys'],
    records: 'read',
  }),
  'conclude-adoption': state('Decides whether plaintext is left', {
    rights: ['readKeys', 'changeJobs', 'settleQuarantine'],
    records: 'read',
  }),
  'stop-job': {
    ...state('Names the blocker of a job that failed', { rights: ['changeKeys', 'changeJobs'] }),
    timeoutSeconds: 60,
  },

  'process-chunk': {
    description: 'Rewraps the records of queued chunks',
    // Set by the stage's file.
    memoryMb: 1769,
    timeoutSeconds: WORKER_TIMEOUT,
    variables: EVERYTHING,
    // It changes a key only to call off a destruction: a record still needs the version.
    rights: ['receiveChunks', 'changeKeys', 'readJobs', 'reportChunks', 'addQuarantined', 'unwrapKeks'],
    records: 'write',
  },
  sweep: event('Daily: rotates due keys, purges what is retired long enough, resumes what stopped', {
    timeoutSeconds: 900,
    rights: ['listLedger', 'changeKeys', 'changeJobs', 'startJobs', 'inspectRootKeys', 'rewrapKeks'],
  }),
  monitor: event('Every 15 minutes: measures what alarms and dashboard show', {
    timeoutSeconds: 300,
    rights: ['listLedger', 'readKeys', 'readJobs', 'readQuarantine', 'readQueueDepth', 'inspectRootKeys'],
  }),
  'kms-event': event('Reads the truth again when KMS reports a change of a root key', {
    timeoutSeconds: 900,
    rights: ['listLedger', 'changeKeys', 'changeJobs', 'startJobs', 'inspectRootKeys', 'rewrapKeks'],
  }),
  'rotation-request': event('Starts the rotation that an event on the bus asks for', {
    timeoutSeconds: 60,
    rights: ['changeKeys', 'changeJobs', 'startJobs'],
  }),
};

function state(
  description: string,
  more: { readonly rights: readonly Right[]; readonly records?: 'list' | 'read' },
): FunctionSpec {
  return { description, memoryMb: 512, timeoutSeconds: STATE_TIMEOUT, variables: EVERYTHING, ...more };
}

function event(
  description: string,
  more: { readonly timeoutSeconds: number; readonly rights: readonly Right[] },
): FunctionSpec {
  return { description, memoryMb: 512, variables: EVERYTHING, asynchronous: true, ...more };
}

export function opensPostgres(stage: Stage): boolean {
  return Object.values(stage.config.stores).some(({ type }) => type === 'postgres');
}

/** The `functions` of serverless.yml. */
export function serverlessFunctions(stage: Stage): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, spec]) => [name, serverlessFunction(stage, name, spec)]),
  );
}

function serverlessFunction(stage: Stage, name: string, spec: FunctionSpec): Record<string, unknown> {
  const { vpc, worker } = stage.deployment;
  const postgres = spec.records !== undefined && opensPostgres(stage);
  return {
    name: functionName(stage, name),
    description: spec.description,
    handler: `functions/${name}/index.handler`,
    role: getAtt(roleLogicalId(name)),
    memorySize: name === 'process-chunk' ? worker.memoryMb : spec.memoryMb,
    timeout: spec.timeoutSeconds,
    environment: {
      ...commonVariables(stage),
      ...variables(stage, spec.variables),
      // The certificate authorities of RDS, which come with the runtime.
      ...(postgres && { NODE_EXTRA_CA_CERTS: '/var/runtime/ca-cert.pem' }),
    },
    ...(spec.records !== undefined && vpc !== undefined && { vpc }),
    ...(spec.asynchronous && {
      maximumRetryAttempts: 2,
      maximumEventAge: 3600,
      destinations: { onFailure: { type: 'sqs', arn: getAtt('EventDeadLetters') } },
    }),
    ...(name === 'process-chunk' && {
      events: [
        {
          sqs: {
            arn: getAtt('WorkQueue'),
            batchSize: worker.batchSize,
            maximumConcurrency: worker.concurrency,
            functionResponseType: 'ReportBatchItemFailures',
          },
        },
      ],
    }),
  };
}

export function roleLogicalId(name: string): string {
  return `${name.replace(/(^|-)([a-z])/g, (_, __, letter: string) => letter.toUpperCase())}Role`;
}
