import { getAtt, ref } from './cloudformation.ts';
import { environmentValues } from './environment.ts';
import type { Stage } from './stage.ts';

/**
 * What others need to know of the stack. The description of an output that the command line needs is the name of its
 * environment variable: `npm run deploy:env` prints them.
 */
export function outputs(
  stage: Stage,
): Record<string, { readonly Description: string; readonly Value: unknown }> {
  const { KEYTURN_CONFIG: _, ...variables } = environmentValues(stage);
  return {
    ...Object.fromEntries(
      Object.entries(variables).map(([name, value]) => [
        // KEYTURN_LEDGER_TABLE -> KeyturnLedgerTable
        name.toLowerCase().replace(/(^|_)([a-z])/g, (_match, _dash, letter: string) => letter.toUpperCase()),
        { Description: name, Value: value },
      ]),
    ),
    WorkDeadLettersUrl: { Description: 'Chunks that no worker could handle', Value: ref('WorkDeadLetters') },
    EventDeadLettersUrl: {
      Description: 'Events that no function could handle',
      Value: ref('EventDeadLetters'),
    },
    EventBusArn: { Description: 'Where applications ask for rotations', Value: getAtt('EventBus') },
    AlarmTopicArn: { Description: 'Subscribe to be told of alarms', Value: ref('AlarmTopic') },
    ApplicationPolicyArn: {
      Description: 'For roles that seal and open values',
      Value: ref('ApplicationPolicy'),
    },
    OperatorPolicyArn: { Description: 'For people with the command line', Value: ref('OperatorPolicy') },
    OperatorKeysPolicyArn: { Description: 'And this one beside it', Value: ref('OperatorKeysPolicy') },
  };
}
