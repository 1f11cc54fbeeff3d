import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../functions/index.ts';
import { template } from '../infrastructure/template.ts';
import { RULES, SCHEDULES } from '../local/event-parts.ts';
import { STACK_PARTS } from '../local/stack.ts';

/**
 * What is deployed is what runs on one machine, and the other way round: every function, state machine, state, queue,
 * rule and schedule. The embedded stack's parts are the data that it starts from; the deployment's are what serverless.yml
 * hands to CloudFormation.
 */

const folder = (path: string) => new URL(`../${path}/`, import.meta.url);
const kebab = (name: string) => name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
const sorted = (names: Iterable<string>) => [...names].sort();

const deployed = template('dynamodb');
const resourceSchema = z.record(
  z.string(),
  z.object({ Type: z.string(), Properties: z.looseObject({}).optional() }),
);
const resources = Object.values(resourceSchema.parse(deployed.resources.Resources));
const ofType = <T extends z.ZodType>(type: string, properties: T): z.infer<T>[] =>
  resources.filter(({ Type }) => Type === type).map(({ Properties }) => properties.parse(Properties));
/** As the embedded stack calls it: without the stage. */
const localName = (name: string) => name.replace('keyturn-dynamodb', 'keyturn');
const partName = (name: string) => localName(name).replace(/^keyturn-/, '');
const functionOf = (arn: unknown) => {
  const [logicalId = ''] = z.object({ 'Fn::GetAtt': z.array(z.string()) }).parse(arn)['Fn::GetAtt'];
  return logicalId.replace('LambdaFunction', '').replaceAll('Dash', '-').toLowerCase();
};

const functions = [...STACK_PARTS.eventFunctions, ...STACK_PARTS.states.map(kebab)];

describe('the embedded stack and the deployment have the same', () => {
  it('functions, one a folder', async () => {
    const entries = await readdir(folder('functions'), { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(sorted(folders)).toEqual(sorted(functions));
    expect(sorted(Object.keys(deployed.functions))).toEqual(sorted(functions));
    expect(functions).toHaveLength(Object.keys({ ...EVENT_FUNCTIONS, ...STATE_FUNCTIONS }).length);
  });

  it('state machines, with the same states that call functions', async () => {
    const files = (await readdir(folder('state-machines'))).map((file) => file.replace('.asl.json', ''));
    const machines = ofType(
      'AWS::StepFunctions::StateMachine',
      z.object({ StateMachineName: z.string(), DefinitionString: z.string().optional() }),
    );
    expect(sorted(files)).toEqual(sorted(STACK_PARTS.stateMachines));
    expect(sorted(machines.map(({ StateMachineName }) => partName(StateMachineName)))).toEqual(sorted(files));
    const states = new Set<string>();
    for (const file of files) {
      const text = await readFile(new URL(`${file}.asl.json`, folder('state-machines')), 'utf8');
      for (const [, state = ''] of text.matchAll(/\$\{(\w+)FunctionArn\}/g)) states.add(state);
    }
    expect(sorted(states)).toEqual(sorted(STACK_PARTS.states));
  });

  it('queues, with the same number of tries', async () => {
    const queues = ofType(
      'AWS::SQS::Queue',
      z.object({
        QueueName: z.string(),
        RedrivePolicy: z.object({ maxReceiveCount: z.number() }).optional(),
      }),
    );
    expect(sorted(queues.map(({ QueueName }) => localName(QueueName)))).toEqual(sorted(STACK_PARTS.queues));
    expect(queues.flatMap(({ RedrivePolicy }) => RedrivePolicy?.maxReceiveCount ?? [])).toEqual([
      STACK_PARTS.maxReceives,
    ]);
  });

  it('bus', () => {
    const buses = ofType('AWS::Events::EventBus', z.object({ Name: z.string() }));
    expect(buses.map(({ Name }) => localName(Name))).toEqual([STACK_PARTS.bus]);
  });

  it('rules, on the same bus, with the same pattern and function', () => {
    const rules = ofType(
      'AWS::Events::Rule',
      z.object({
        Name: z.string(),
        EventBusName: z.unknown().optional(),
        EventPattern: z.unknown(),
        Targets: z.tuple([z.object({ Arn: z.unknown(), DeadLetterConfig: z.object({ Arn: z.unknown() }) })]),
      }),
    );
    expect(sorted(rules.map(({ Name }) => partName(Name)))).toEqual(sorted(STACK_PARTS.rules));
    for (const { Name, EventBusName, EventPattern, Targets } of rules) {
      const rule = RULES[partName(Name)];
      expect(EventPattern, Name).toEqual(rule?.pattern);
      expect(EventBusName === undefined ? 'default' : 'keyturn', Name).toBe(rule?.bus);
      expect(functionOf(Targets[0].Arn), Name).toBe(rule?.function);
    }
  });

  it('schedules, of the same functions, with the same input', () => {
    const schedules = ofType(
      'AWS::Scheduler::Schedule',
      z.object({
        Name: z.string(),
        Target: z.object({
          Arn: z.unknown(),
          DeadLetterConfig: z.unknown(),
          Input: z.string().optional(),
        }),
      }),
    );
    expect(sorted(schedules.map(({ Name }) => partName(Name)))).toEqual(sorted(STACK_PARTS.schedules));
    for (const { Name, Target } of schedules) {
      const schedule = Object.entries(SCHEDULES).find(([name]) => name === partName(Name))?.[1];
      expect(functionOf(Target.Arn), Name).toBe(schedule?.function);
      expect(Target.Input === undefined ? undefined : JSON.parse(Target.Input), Name).toEqual(
        schedule?.input,
      );
      expect(Target.DeadLetterConfig, Name).toBeDefined();
    }
  });

  it('functions behind a rule, a schedule or a state: none that nothing calls', () => {
    const called = [...Object.values(RULES), ...Object.values(SCHEDULES)].map((part) => part.function);
    expect(sorted(new Set(called))).toEqual(
      sorted(STACK_PARTS.eventFunctions.filter((name) => name !== 'process-chunk')),
    );
  });
});
