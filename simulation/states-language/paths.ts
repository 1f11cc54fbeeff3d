import { z } from 'zod';
import { runtimeError, StateError } from './errors.ts';

/** Reference paths of names, `$.sweep.segments`: as their names. */
export type Path = readonly string[];

export const pathSchema = z
  .string()
  .regex(/^\$(\.[A-Za-z_]\w*)+$/)
  .transform((path): Path => path.split('.').slice(1));

/** Where a result goes in the input: `$.sweep`, or null for nowhere. */
export const resultPathSchema = z
  .string()
  .regex(/^\$\.[A-Za-z_]\w*$/)
  .transform((path) => path.slice(2))
  .nullable();

/** Undefined: there is nothing. */
export function find(path: Path, input: unknown): unknown {
  let value = input;
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Throws States.Runtime, which nothing catches, where there is nothing. */
export function read(path: Path, input: unknown): unknown {
  const value = find(path, input);
  if (value === undefined) throw runtimeError(path, 'does not point to a value');
  return value;
}

/** `name` as in `resultPathSchema`; undefined: the result takes the input's place. */
export function place(name: string | null | undefined, input: unknown, result: unknown): unknown {
  if (name === undefined) return result;
  if (name === null) return input;
  if (!isObject(input)) throw new StateError('States.ResultPathMatchFailure', `$.${name} has no place`);
  return { ...input, [name]: result };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
