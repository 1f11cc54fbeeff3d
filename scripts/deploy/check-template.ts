/** What CloudFormation would refuse only after minutes. Pure. */

export interface Template {
  readonly Resources: Readonly<Record<string, { readonly Type: string; readonly [part: string]: unknown }>>;
  readonly Outputs?: Readonly<Record<string, unknown>>;
  readonly [part: string]: unknown;
}

/** D/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html; the template goes there by S3. */
const MOST_RESOURCES = 500;
const MOST_KILOBYTES = 1000;

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
  if (resources > MOST_RESOURCES) problems.push(`${resources} resources, over ${MOST_RESOURCES}`);
  if (kilobytes > MOST_KILOBYTES)
    problems.push(`a template of ${kilobytes.toFixed(0)} kB, over ${MOST_KILOBYTES} kB`);
  return { resources, kilobytes, problems };
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
