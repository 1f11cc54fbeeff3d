import { FUNCTION_NEEDS } from '../functions/needs.ts';
import { getAtt, pascalCase } from './cloudformation.ts';
import { environmentOf, opensStores } from './environment.ts';
import { functionName } from './names.ts';
import type { LedgerRight } from './rights.ts';
import type { Stage } from './stage.ts';

/**
 * Every function: its size, and what it may do in the ledger. The rest of its rights and its environment follow from the
 * needs that it declares (functions/needs.ts).
 */
export interface FunctionSpec {
  readonly description: string;
  /** null: the stage's file says. */
  readonly memoryMb: number | null;
  readonly timeoutSeconds: number;
  readonly ledger: readonly LedgerRight[];
  /** An event or a schedule calls it and waits for no answer: what it could not do goes to the dead letters. */
  readonly asynchronous: boolean;
}

/** As TimeoutSeconds of the states. */
const STATE_TIMEOUT = 900;
/** The queue shows a message again after six times as long. */
export const WORKER_TIMEOUT = 120;

export const FUNCTIONS: Readonly<Record<FunctionName, FunctionSpec>> = {
  'create-version': state('Makes the next version of a key, wrapped', ['changeKeys', 'changeJobs']),
  'prove-version': state('Unwraps the stored version again, before anything names it', [
    'changeKeys',
    // A root key that cannot be used pauses the job.
    'changeJobs',
  ]),
  'activate-version': state('Makes the proved version the active one', [
    'changeKeys',
    'changeJobs',
    // What the writers' fence is told is in the audit.
    'recordEvents',
  ]),
  'plan-sweep': state('Cuts the record sets into segments', ['readKeys', 'changeJobs']),
  'list-segment': state('Lists stale records and queues them in chunks', ['readKeys', 'workOnJobs']),
  'check-sweep': state('Adds up what the workers have reported', ['changeJobs']),
  'check-barrier': state('Waits until no writer can hold the old version', [
    'changeKeys',
    'changeJobs',
    'recordEvents',
  ]),
  'take-census': state('Counts key versions from the envelopes themselves', ['workOnJobs']),
  'conclude-round': state('Decides by the census: clean, sweep again, or blocked', [
    'changeKeys',
    'changeJobs',
    'settleQuarantine',
    'keepCensus',
  ]),
  'retire-version': state('Makes the old version decrypt-only until its purge', ['changeKeys', 'changeJobs']),
  'begin-purge': state('Puts a version before its destruction', ['changeKeys', 'markUse', 'changeJobs']),
  'destroy-version': state('Destroys a version that a census has found unused', [
    'changeKeys',
    'changeJobs',
    'settleQuarantine',
    'keepCensus',
    'askForApproval',
    'keepCertificate',
  ]),
  'conclude-adoption': state('Decides whether plaintext is left', [
    'changeKeys',
    'changeJobs',
    'settleQuarantine',
  ]),
  'stop-job': {
    ...state('Names the blocker of a job that failed', ['changeKeys', 'changeJobs']),
    timeoutSeconds: 60,
  },
  'process-chunk': {
    description: 'Rewraps the records of queued chunks',
    memoryMb: null,
    timeoutSeconds: WORKER_TIMEOUT,
    // It marks a key whose version is about to be destroyed, since a record still needs it. When a root key cannot be used,
    // it suspends what that wrapped and pauses the job.
    ledger: ['changeKeys', 'markUse', 'changeJobs', 'reportChunks', 'addQuarantined'],
    asynchronous: false,
  },
  sweep: event('Daily: rotates due keys, purges what is retired long enough, resumes what stopped', 900, [
    'changeState',
    'listLedger',
    'changeKeys',
    'changeJobs',
  ]),
  monitor: event('Every 15 minutes: measures what alarms and dashboard show', 300, [
    'listLedger',
    // It calls off the purge of a version that something asked for.
    'changeKeys',
    'changeJobs',
    'readQuarantine',
  ]),
  'export-audit': event('Hourly: copies the audit chains to where they cannot be changed', 900, [
    'listLedger',
    'exportAudit',
  ]),
  'kms-event': event('Reads the truth again when KMS reports a change of a root key', 900, [
    'recordEvents',
    'listLedger',
    'changeKeys',
    'changeJobs',
  ]),
  'rotation-request': event('Starts the rotation that an event on the bus asks for', 60, [
    'recordEvents',
    'changeKeys',
    'changeJobs',
  ]),
};

function state(description: string, ledger: readonly LedgerRight[]): FunctionSpec {
  return { description, memoryMb: 512, timeoutSeconds: STATE_TIMEOUT, ledger, asynchronous: false };
}

function event(description: string, timeoutSeconds: number, ledger: readonly LedgerRight[]): FunctionSpec {
  return { description, memoryMb: 512, timeoutSeconds, ledger, asynchronous: true };
}

/** By its folder in functions/. */
export type FunctionName = keyof typeof FUNCTION_NEEDS;
export const FUNCTION_NAMES = Object.keys(FUNCTIONS) as FunctionName[];

/** The `functions` of serverless.yml. */
export function serverlessFunctions(stage: Stage): Record<string, unknown> {
  return Object.fromEntries(FUNCTION_NAMES.map((name) => [name, serverlessFunction(stage, name)]));
}

function serverlessFunction(stage: Stage, name: FunctionName): Record<string, unknown> {
  const needs = FUNCTION_NEEDS[name];
  const spec = FUNCTIONS[name];
  const { vpc, worker } = stage.deployment;
  return {
    name: functionName(stage, name),
    description: spec.description,
    handler: `functions/${name}/index.handler`,
    role: getAtt(roleLogicalId(name)),
    memorySize: spec.memoryMb ?? worker.memoryMb,
    timeout: spec.timeoutSeconds,
    environment: environmentOf(stage, needs),
    ...(opensStores(needs) && vpc !== undefined && { vpc }),
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

export function roleLogicalId(name: FunctionName): string {
  return `${pascalCase(name)}Role`;
}
