import { accessPolicies } from './access.ts';
import { alarms } from './alarms.ts';
import { archive } from './archive.ts';
import type { Resources } from './cloudformation.ts';
import { dashboard } from './dashboard.ts';
import { events } from './events.ts';
import { serverlessFunctions } from './functions.ts';
import { keys } from './keys.ts';
import { ledger } from './ledger.ts';
import { outputs } from './outputs.ts';
import { queues } from './queues.ts';
import { functionRoles } from './roles.ts';
import { DEFAULT_STAGE, filesOf, readStage, type Stage } from './stage.ts';
import { stateMachines } from './state-machines.ts';

/** What serverless.yml reads of a stage. */
export function template(stageName: string = DEFAULT_STAGE) {
  const stage = readStage(stageName);
  return {
    stage: stage.name,
    region: stage.deployment.region,
    logRetentionDays: stage.deployment.logRetentionDays,
    tags: { ...stage.deployment.tags, service: stage.service },
    files: filesOf(stage),
    functions: serverlessFunctions(stage),
    resources: { Resources: resources(stage), Outputs: outputs(stage) },
  };
}

function resources(stage: Stage): Resources {
  return {
    ...keys(stage),
    ...ledger(stage),
    ...archive(stage),
    ...queues(stage),
    ...events(stage),
    ...stateMachines(stage),
    ...functionRoles(stage),
    ...alarms(stage),
    ...dashboard(stage),
    ...accessPolicies(stage),
  };
}
