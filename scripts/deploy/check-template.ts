/** What CloudFormation would refuse only after minutes. Pure. */

export interface Template {
  readonly Resources: Readonly<Record<string, { readonly Type: string; readonly Properties?: unknown }>>;
  readonly Outputs?: Readonly<Record<string, unknown>>;
  readonly [part: string]: unknown;
}

/** D/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html; the template goes there by S3. */
const MOST_RESOURCES = 500;
const MOST_KILOBYTES = 1000;
/** Characters, without white space. D/IAM/latest/UserGuide/reference_iam-quotas.html */
const MOST_IN_MANAGED_POLICY = 6144;
const MOST_IN_ROLE = 10_240;
const MOST_IN_KEY_POLICY = 32_768;

export function checkTemplate(template: Template): {
  readonly resources: number;
  readonly kilobytes: number;
  readonly problems: string[];
} {
  const resources = Object.keys(template.Resources).length;
  const kilobytes = JSON.stringify(template).length / 1000;
  const problems = danglingReferences(template).map(
    (name) => `the template names ${name}, which it does not make`,
  );
  problems.push(...policiesTooLong(template));
  if (resources > MOST_RESOURCES) problems.push(`${resources} resources, over ${MOST_RESOURCES}`);
  if (kilobytes > MOST_KILOBYTES)
    problems.push(`a template of ${kilobytes.toFixed(0)} kB, over ${MOST_KILOBYTES} kB`);
  return { resources, kilobytes, problems };
}

function policiesTooLong(template: Template): string[] {
  return Object.entries(template.Resources).flatMap(([name, { Type, Properties }]) => {
    const properties = Object(Properties);
    const [policy, most] =
      Type === 'AWS::IAM::ManagedPolicy'
        ? [properties.PolicyDocument, MOST_IN_MANAGED_POLICY]
        : Type === 'AWS::IAM::Role'
          ? [properties.Policies, MOST_IN_ROLE]
          : [properties.KeyPolicy, MOST_IN_KEY_POLICY];
    const length = policy === undefined ? 0 : JSON.stringify(policy, asDeployed).length;
    return length > most ? [`the policy of ${name} has about ${length} characters, over ${most}`] : [];
  });
}

/** About as long as what CloudFormation will put there. */
function asDeployed(_: string, part: unknown): unknown {
  const { 'Fn::Sub': text, 'Fn::GetAtt': attribute, 'Fn::Join': join } = Object(part);
  if (typeof text === 'string') return text.replaceAll(/\$\{[^}]*\}/g, 'eu-central-1');
  if (attribute !== undefined)
    return 'arn:aws:service:eu-central-1:111122223333:resource/keyturn-production-resource';
  return join === undefined ? part : join[1];
}

/** Logical ids that a Ref, Fn::GetAtt, Fn::Sub or DependsOn names and no resource has. */
export function danglingReferences(template: Template): string[] {
  const named = new Set<string>();
  collect(template, named);
  return [...named]
    .filter((name) => !name.startsWith('AWS::') && !Object.hasOwn(template.Resources, name))
    .sort();
}

function collect(part: unknown, named: Set<string>): void {
  if (Array.isArray(part)) {
    for (const item of part) collect(item, named);
  } else if (typeof part === 'object' && part !== null) {
    for (const [key, value] of Object.entries(part)) {
      for (const name of namesIn(key, value)) named.add(name);
      // A state machine's definition has placeholders of its own; its DefinitionSubstitutions name resources.
      if (key !== 'DefinitionString') collect(value, named);
    }
  }
}

function namesIn(key: string, value: unknown): string[] {
  if (key === 'Ref' && typeof value === 'string') return [value];
  if (key === 'Fn::GetAtt') return [String(Array.isArray(value) ? value[0] : String(value).split('.')[0])];
  if (key === 'DependsOn') return [value].flat().map(String);
  if (key === 'Fn::Sub') {
    const text = String(Array.isArray(value) ? value[0] : value);
    return [...text.matchAll(/\$\{([^!.}]+)[^}]*\}/g)].map(([, name = '']) => name);
  }
  return [];
}
