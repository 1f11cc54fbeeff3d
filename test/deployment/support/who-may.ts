import { FUNCTION_NEEDS } from '../../../functions/needs.ts';
import { FUNCTION_NAMES, roleLogicalId } from '../../../infrastructure/functions.ts';
import { allows, type Request, statementsOf } from './policies.ts';
import { type PackagedTemplate, readTemplate } from './template.ts';

/** Who may do what, by the packaged policies. */

export const dynamodb = readTemplate('dynamodb');
export const postgres = readTemplate('postgres');

export function functionsThatMay(request: Request, template: PackagedTemplate = dynamodb): string[] {
  return FUNCTION_NAMES.filter((name) => allows(statementsOf(template, roleLogicalId(name)), request)).sort();
}

/** Everything else that has rights: state machines, the scheduler, and who is outside the stack. */
const OTHERS = [
  'RotateKeyStateMachineRole',
  'PurgeVersionStateMachineRole',
  'AdoptRecordsStateMachineRole',
  'SchedulerRole',
  'ApplicationPolicy',
  'OperatorPolicy',
  'OperatorKeysPolicy',
];

export function othersThatMay(request: Request): string[] {
  return OTHERS.filter((id) => allows(statementsOf(dynamodb, id), request));
}

export function functionsThatNeed(need: string): string[] {
  return FUNCTION_NAMES.filter((name) => (FUNCTION_NEEDS[name] as readonly string[]).includes(need)).sort();
}
