import { z } from 'zod';
import { type PackagedTemplate, resolved, resourceOf } from './template.ts';

/**
 * A small evaluator of IAM policies, enough for the ones of this template: it throws at what it does not know.
 * D/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */

const strings = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const statement = z.object({
  Sid: z.string(),
  Effect: z.enum(['Allow', 'Deny']),
  Principal: z.unknown().optional(),
  Action: strings,
  Resource: strings,
  Condition: z.record(z.string(), z.record(z.string(), strings)).default({}),
});
export type Statement = z.output<typeof statement>;
const document = z.object({ Version: z.literal('2012-10-17'), Statement: z.array(statement) });

export interface Request {
  readonly action: string;
  readonly resource: string;
  /** Condition keys of the request. An array: a key with several values. */
  readonly context?: Readonly<Record<string, string | readonly string[]>>;
}

/** The statements of a role, a managed policy, or a key's policy. */
export function statementsOf(from: PackagedTemplate, logicalId: string): Statement[] {
  const { Properties } = resourceOf(from, logicalId);
  const documents = [
    Properties['PolicyDocument'],
    Properties['KeyPolicy'],
    ...z
      .array(z.object({ PolicyDocument: z.unknown() }))
      .parse(Properties['Policies'] ?? [])
      .map((p) => p.PolicyDocument),
  ];
  return documents.filter((d) => d !== undefined).flatMap((d) => document.parse(resolved(from, d)).Statement);
}

/** A Deny wins; without an Allow nothing is allowed. */
export function allows(statements: readonly Statement[], request: Request): boolean {
  const matching = statements.filter((s) => matches(s, request));
  return matching.length > 0 && matching.every(({ Effect }) => Effect === 'Allow');
}

export function denies(statements: readonly Statement[], request: Request): boolean {
  return statements.some((s) => s.Effect === 'Deny' && matches(s, request));
}

function matches({ Action, Resource, Condition }: Statement, request: Request): boolean {
  return (
    Action.some((pattern) => isLike(request.action.toLowerCase(), pattern.toLowerCase())) &&
    Resource.some((pattern) => isLike(request.resource, pattern)) &&
    Object.entries(Condition).every(([operator, keys]) =>
      Object.entries(keys).every(([key, wanted]) => holds(operator, request.context?.[key], wanted)),
    )
  );
}

function holds(
  operator: string,
  given: string | readonly string[] | undefined,
  wanted: readonly string[],
): boolean {
  if (operator === 'Null') return wanted.includes(String(given === undefined));
  if (operator.startsWith('ForAllValues:')) {
    const test = testOf(operator.slice('ForAllValues:'.length));
    return [given ?? []].flat().every((value) => wanted.some((one) => test(value, one)));
  }
  if (operator === 'StringNotEquals') return ![given ?? []].flat().some((value) => wanted.includes(value));
  const ifExists = operator.endsWith('IfExists');
  if (given === undefined) return ifExists;
  const test = testOf(operator.replace(/IfExists$/, ''));
  return [given].flat().some((value) => wanted.some((one) => test(value, one)));
}

function testOf(operator: string): (given: string, wanted: string) => boolean {
  const tests: Readonly<Record<string, (given: string, wanted: string) => boolean>> = {
    StringEquals: (given, wanted) => given === wanted,
    StringLike: isLike,
    ArnEquals: isLike,
    ArnLike: isLike,
    Bool: (given, wanted) => given === wanted,
    NumericGreaterThanEquals: (given, wanted) => Number(given) >= Number(wanted),
    NumericLessThanEquals: (given, wanted) => Number(given) <= Number(wanted),
  };
  const test = tests[operator];
  if (test === undefined) throw new Error(`unknown condition operator ${operator}`);
  return test;
}

/** `*` and `?` as IAM reads them. */
function isLike(text: string, pattern: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`, 's').test(text);
}
