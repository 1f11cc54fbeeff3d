import { accessPolicies } from './access.ts';
import { alarms } from './alarms.ts';
import type { Resources } from './cloudformation.ts';
import { dashboard } from './dashboard.ts';
import { events } from './events.ts';
import { type Needs, readNeeds, serverlessFunctions } from './functions.ts';
import { keys } from './keys.ts';
import { ledger } from './ledger.ts';
import { outputs } from './outputs.ts';
import { queues } from './queues.ts';
import { functionRoles } from './roles.ts';
import { DEFAULT_STAGE, filesOf, readStage, type Stage } from './stage.ts';
import { stateMachines } from './state-machines.ts';

/** What serverless.yml reads of a stage. */
export async function template(stageName: string = DEFAULT_STAGE) {
  const stage = readStage(stageName);
  const needs = await readNeeds();
  return {
    stage: stage.name,
    region: stage.deployment.region,
    logRetentionDays: stage.deployment.logRetentionDays,
    tags: { ...stage.deployment.tags, service: stage.service },
    files: filesOf(stage),
    functions: serverlessFunctions(stage, needs),
    resources: { Resources: resources(stage, needs), Outputs: outputs(stage) },
  };
}

function resources(stage: Stage, needs: Needs): Resources {
  return {
    ...keys(stage, needs),
    ...ledger(stage),
    ...queues(stage),
    ...events(stage),
    ...stateMachines(stage),
    ...functionRoles(stage, needs),
    ...alarms(stage),
    ...dashboard(stage),
    ...accessPolicies(stage),
  };
}
