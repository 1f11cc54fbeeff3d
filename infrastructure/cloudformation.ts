/** The few shapes of CloudFormation that the template is made of. */

export interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly DependsOn?: string | readonly string[];
  readonly DeletionPolicy?: 'Retain' | 'Delete';
  readonly UpdateReplacePolicy?: 'Retain' | 'Delete';
  readonly Metadata?: Readonly<Record<string, unknown>>;
}

/** By logical id. */
export type Resources = Readonly<Record<string, Resource>>;

export const ref = (logicalId: string) => ({ Ref: logicalId });
export const getAtt = (logicalId: string, attribute = 'Arn') => ({ 'Fn::GetAtt': [logicalId, attribute] });
export const sub = (text: string) => ({ 'Fn::Sub': text });

/** A resource of this account, in the stack's region where none is named; null for a service without regions. */
export function arn(service: string, resource: string, region: string | null = `\${AWS::Region}`) {
  return sub(`arn:\${AWS::Partition}:${service}:${region ?? ''}:\${AWS::AccountId}:${resource}`);
}

/** `create-version` or `rotate-key` -> `CreateVersion`, as the states and the logical ids are written. */
export function pascalCase(name: string): string {
  return name.replace(/(^|-)([a-z])/g, (_, __, letter: string) => letter.toUpperCase());
}

/** `CreateVersion` -> `create-version`, the function's folder. */
export function kebabCase(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}
