import { InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { CliError } from './cli-error.ts';
import type { Output } from './output.ts';
import { type Asks, tellingRefusal } from './refused.ts';
import type { Session } from './session.ts';

/** One command: what the help and docs/cli.md say of it, and what it does. */
export interface Command {
  /** Words after `keyturn`: `rotate`, `keys list`. */
  readonly name: string;
  readonly summary: string;
  /** What it does and prints, in sentences. */
  readonly details: string;
  /** The fields of its JSON. */
  readonly json: string;
  readonly arguments: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly Option[];
  readonly examples: readonly { readonly line: string; readonly says: string }[];
  /** Returns the exit code. */
  execute(input: unknown, cli: Cli): Promise<number>;
}

export interface Globals {
  readonly config?: string | undefined;
  readonly dir?: string | undefined;
  readonly json: boolean;
}

/** What a command gets from the command line around it. */
export interface Cli {
  readonly globals: Globals;
  readonly out: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Runs the work with a connection to the stack, and closes it. */
  withSession(work: (session: Session) => Promise<number>): Promise<number>;
}

interface CommandSpec<S extends z.ZodType>
  extends Omit<Command, 'execute' | 'arguments' | 'options'>,
    Partial<Pick<Command, 'arguments' | 'options'>> {
  /** Options by their name in camel case, arguments by theirs. */
  readonly input: S;
  /** Of a command that asks for a change: of what, for the audit of what is refused. null: this input asks for none. */
  readonly asks?: (input: z.output<S>) => Asks | null;
  run(input: z.output<S>, cli: Cli): Promise<number>;
}

export function defineCommand<S extends z.ZodType>(spec: CommandSpec<S>): Command {
  const { input, asks, run, ...shown } = spec;
  return {
    arguments: [],
    options: [],
    ...shown,
    execute: async (raw, cli) => {
      const checked = checkInput(input, raw);
      const asked = asks?.(checked) ?? null;
      return run(checked, asked === null ? cli : recordingRefusals(cli, spec.name, asked));
    },
  };
}

/** Every command meets the domain in its session. */
function recordingRefusals(cli: Cli, command: string, asked: Asks): Cli {
  return {
    ...cli,
    withSession: (work) =>
      cli.withSession((session) =>
        tellingRefusal(session.deps, cli.out, command, asked, () => work(session)),
      ),
  };
}

/** Throws INPUT_INVALID that names the option or argument. */
function checkInput<S extends z.ZodType>(input: S, raw: unknown): z.output<S> {
  const { success, data, error } = input.safeParse(raw);
  if (success) return data;
  const [issue] = error.issues;
  const name = String(issue?.path[0] ?? '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new CliError('INPUT_INVALID', `--${name}: ${issue?.message ?? 'is not of the form it needs'}`);
}

/** Words for people, such as a reason: they go to the audit and to approvers. */
export const REASON = z
  .string()
  .trim()
  .min(1, 'it is empty')
  .refine((text) => [...text].length <= 300, 'it has more than 300 characters')
  .refine((text) => !/\p{Cc}/u.test(text) && text.isWellFormed(), 'it is not one line of text');

export function option(flags: string, description: string): Option {
  return new Option(flags, description);
}

export function required(flags: string, description: string): Option {
  return new Option(flags, description).makeOptionMandatory();
}

export const TENANT = '--tenant <name>';
export const PURPOSE = (): Option =>
  option('--purpose <name>', "Which of the tenant's keys").default('default');
export const JOB = (): Option => option('--job <id>', 'A job, by its id');
export const NO_WAIT = (): Option => option('--no-wait', 'Return once it has begun');
export const YES = (): Option => option('--yes', 'Do not ask');

const NONE = 'none';

/** For commander, which would take null for an option without a value. */
export function rateOrNone(text: string): number | typeof NONE {
  if (text === NONE) return NONE;
  const value = wholeNumber(text);
  if (value > 1_000_000) throw new InvalidArgumentError('It is at most 1000000, or none.');
  return value;
}

/** What rateOrNone gives; null: no limit. */
export const RATE = z.union([z.number(), z.literal(NONE).transform(() => null)]);

/** For commander: a number from 1 on. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,9}$/.test(text) || value < 1)
    throw new InvalidArgumentError('It is a whole number from 1 on.');
  return value;
}
