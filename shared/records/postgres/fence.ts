import { z } from 'zod';
import type { Clock } from '../../clock/clock.ts';
import { RecordStoreError } from '../../errors/errors.ts';
import type { FenceState, RecordFence, RecordStore } from '../record-store.ts';
import type { TableConnection } from './connection.ts';
import { sqlState } from './failures.ts';
import { beginAlter } from './sql/adoption.ts';
import {
  CREATE_MINIMUMS,
  createFunction,
  createTrigger,
  DROP_MINIMUMS,
  DROP_SCHEMA,
  dropFunction,
  dropTrigger,
  FUNCTION_SETTINGS,
  functionBody,
  functionName,
  grantMinimums,
  HAS_MINIMUMS,
  installedFence,
  LOCK_FENCES,
  REMAINS,
  readMinimums,
  setMinimum,
  TRIGGER_TYPE,
} from './sql/fence.ts';
import type { FieldColumn, TableShape } from './table.ts';
import { inTransaction, type Queryable } from './transaction.ts';

export interface FenceOptions {
  readonly clock: Clock;
  /** How long an installation or removal tries to get the table's lock. */
  readonly lockTimeoutMs: number;
}

type Fencing = Pick<RecordStore, 'fence' | 'setMinimum'>;

/**
 * The writers' fence: a trigger that refuses envelopes below their key's minimum version (protocol.md, invariant 5).
 * The minimums of all keys stand in one table of the database, and each record set has a trigger and its function.
 */
export function createFencing(connection: TableConnection, options: FenceOptions): Fencing {
  const fence: RecordFence = {
    check: () => connection.guard(async () => stateOf(connection.recordSet, await survey(connection))),
    install: () => connection.guard(() => install(connection, options)),
    statements: () => connection.guard(async () => installation(connection, await survey(connection))),
    isThere: () => connection.guard(() => isThere(connection, connection.db)),
    remove: () => connection.guard(() => remove(connection, options)),
    minimums: (keyIds) =>
      connection.guard(async () => {
        if (!(await hasMinimums(connection.db))) return new Map();
        const { rows } = await connection.db.query(readMinimums(keyIds));
        return new Map(minimumsSchema.parse(rows).map(({ id, minimum }) => [id, minimum]));
      }),
  };
  return {
    fence,
    setMinimum: (minimum) =>
      connection.guard(async () => {
        if (!(await hasMinimums(connection.db))) return null;
        const { rows } = await connection.db.query(setMinimum(minimum));
        return sinceSchema.parse(rows)[0]?.since ?? null;
      }),
  };
}

const sinceSchema = z.array(z.object({ since: z.string() })).max(1);
const minimumsSchema = z.array(z.object({ id: z.string(), minimum: z.int() }));
const thereSchema = z.tuple([z.object({ there: z.boolean() })]);

async function hasMinimums(db: Queryable): Promise<boolean> {
  const [{ there }] = thereSchema.parse((await db.query(HAS_MINIMUMS)).rows);
  return there;
}

const foundSchema = z.object({
  role: z.string(),
  minimums: z.boolean(),
  mayRaise: z.boolean().nullable(),
  function: z
    .object({
      source: z.string(),
      language: z.string(),
      volatility: z.string(),
      definer: z.boolean(),
      settings: z.array(z.string()),
    })
    .nullable(),
  /** Of the table, then of its partitions. */
  triggers: z.array(
    z.object({
      table: z.string(),
      there: z.boolean(),
      enabled: z.string().nullable(),
      type: z.int().nullable(),
      bare: z.boolean().nullable(),
      function: z.string().nullable(),
      columns: z.array(z.string()),
    }),
  ),
  replicas: z.array(z.string()),
});

type Found = z.output<typeof foundSchema>;

interface Survey {
  readonly shape: TableShape;
  readonly found: Found;
}

/** The record set's shape and what is installed for it. Throws for a table that cannot have a fence. */
async function survey(connection: TableConnection, db: Queryable = connection.db): Promise<Survey> {
  const { shape, problems } = await connection.survey(db);
  connection.assertNone(problems);
  return { shape, found: await readFence(connection, db) };
}

async function readFence({ recordSet, config }: TableConnection, db: Queryable): Promise<Found> {
  const { rows } = await db.query(installedFence(recordSet, config.table));
  return z.tuple([z.object({ fence: foundSchema })]).parse(rows)[0].fence;
}

/** What of it is not as this release installs it; none: nothing is to be done. */
interface Drift {
  readonly minimums: boolean;
  readonly function: boolean;
  readonly trigger: boolean;
}

function stateOf(recordSet: string, { shape, found }: Survey): FenceState {
  const [own] = found.triggers;
  const installed = own?.there === true;
  if (!installed) return { installed, problems: [] };
  const problems: string[] = [];
  for (const trigger of found.triggers) {
    const wrong = triggerProblem(recordSet, trigger, shape.fields);
    if (wrong !== null) problems.push(`${wrong} on ${trigger.table}`);
  }
  if (!isOurFunction(found, shape.fields)) {
    problems.push('the function of its trigger is not the one that this release installs');
  }
  if (!found.minimums)
    problems.push('the table keyturn_fence.minimum_version is gone, so that every write fails');
  else if (found.mayRaise === false) {
    problems.push(`the role ${found.role} may not INSERT and UPDATE keyturn_fence.minimum_version`);
  }
  for (const who of found.replicas) {
    problems.push(`${who} sets session_replication_role to replica, in which no trigger fires`);
  }
  return { installed, problems };
}

type FoundTrigger = Found['triggers'][number];

function triggerProblem(
  recordSet: string,
  trigger: FoundTrigger,
  fields: readonly FieldColumn[],
): string | null {
  if (!trigger.there) return 'the trigger is missing';
  if (trigger.enabled === 'D') return 'the trigger is disabled';
  if (trigger.enabled === 'R') return 'the trigger fires for replicas only';
  const columns = fields.map(({ column }) => column);
  const same =
    trigger.type === TRIGGER_TYPE &&
    trigger.bare === true &&
    trigger.function === functionName(recordSet) &&
    [...trigger.columns].sort().join('\0') === [...columns].sort().join('\0');
  return same ? null : 'the trigger is not the one that this release installs';
}

function isOurFunction({ function: installed }: Found, fields: readonly FieldColumn[]): boolean {
  return (
    installed !== null &&
    installed.source === functionBody(fields) &&
    installed.language === 'plpgsql' &&
    installed.volatility === 'v' &&
    !installed.definer &&
    installed.settings.join() === FUNCTION_SETTINGS.join()
  );
}

function driftOf(recordSet: string, found: Found, fields: readonly FieldColumn[]): Drift {
  return {
    minimums: !found.minimums || found.mayRaise !== true,
    function: !isOurFunction(found, fields),
    trigger: found.triggers.some((trigger) => triggerProblem(recordSet, trigger, fields) !== null),
  };
}

/** None: it is there, and as it must be. */
function installation({ recordSet, config }: TableConnection, { shape, found }: Survey): readonly string[] {
  const drift = driftOf(recordSet, found, shape.fields);
  const replaced = found.triggers.some(({ there }) => there);
  return [
    ...(drift.minimums ? [...CREATE_MINIMUMS, grantMinimums(found.role)] : []),
    ...(drift.function ? [createFunction(recordSet, shape.fields)] : []),
    // One that somebody disabled on a partition comes back with the one that is made anew.
    ...(drift.trigger && replaced ? [dropTrigger(recordSet, config.table)] : []),
    ...(drift.trigger ? [createTrigger(recordSet, config.table, shape.fields)] : []),
  ];
}

async function install(connection: TableConnection, options: FenceOptions): Promise<boolean> {
  if (installation(connection, await survey(connection)).length === 0) return false;
  return altering(connection, options, async (db) => {
    // As it is under the lock: another installation may have been faster.
    const statements = installation(connection, await survey(connection, db));
    for (const text of statements) await db.query({ text });
    return statements.length > 0;
  });
}

const remainsSchema = z.tuple([
  z.object({ remains: z.object({ schema: z.boolean(), functions: z.int(), relations: z.int() }) }),
]);

async function readRemains(db: Queryable) {
  return remainsSchema.parse((await db.query(REMAINS)).rows)[0].remains;
}

/**
 * Also where the table was renamed or dropped since: what is left of the fence is its function. What no record set's fence
 * needs any more, the minimums or an empty schema, is taken for a part of this one.
 */
async function isThere(connection: TableConnection, db: Queryable): Promise<boolean> {
  const { schema, functions, relations } = await readRemains(db);
  if (!schema) return false;
  const found = await readFence(connection, db);
  const own = found.function !== null || found.triggers.some(({ there }) => there);
  return own || (functions === 0 && (found.minimums || relations === 0));
}

async function remove(connection: TableConnection, options: FenceOptions): Promise<boolean> {
  const { recordSet, config } = connection;
  return altering(connection, options, async (db) => {
    if (!(await isThere(connection, db))) return false;
    const { triggers } = await readFence(connection, db);
    if (triggers.some(({ there }) => there)) await db.query({ text: dropTrigger(recordSet, config.table) });
    await db.query({ text: dropFunction(recordSet) });
    if ((await readRemains(db)).functions === 0) {
      await db.query({ text: DROP_MINIMUMS });
      if ((await readRemains(db)).relations === 0) await db.query({ text: DROP_SCHEMA });
    }
    return true;
  });
}

/** So long an attempt keeps the application's statements waiting behind its own wait for the table. */
const LOCK_WAIT_MS = 200;
const LOCK_PAUSE_MS = 100;
const LOCK_NOT_AVAILABLE = '55P03';
const NO_RIGHT = '42501';

/**
 * A transaction that changes the table's triggers. One that holds the table for long is waited for in short attempts, with
 * the application's own statements let through between them.
 */
async function altering(
  connection: TableConnection,
  { clock, lockTimeoutMs }: FenceOptions,
  work: (db: Queryable) => Promise<boolean>,
): Promise<boolean> {
  const deadline = clock.now() + lockTimeoutMs;
  for (;;) {
    try {
      return await inTransaction(
        connection.pool,
        beginAlter(Math.min(LOCK_WAIT_MS, lockTimeoutMs)),
        async (db) => {
          await db.query({ text: LOCK_FENCES });
          return work(db);
        },
      );
    } catch (error) {
      if (sqlState(error) === NO_RIGHT) throw notAllowed(connection, error);
      if (sqlState(error) !== LOCK_NOT_AVAILABLE || clock.now() >= deadline) throw error;
      await clock.sleep(LOCK_PAUSE_MS);
    }
  }
}

function notAllowed({ recordSet, config }: TableConnection, cause: unknown): RecordStoreError {
  return new RecordStoreError(
    'STORE_DENIED',
    `Record set "${recordSet}": the role may not change the triggers of table "${config.table}", or the schema "keyturn_fence"`,
    {
      cause,
      remedy: `Run as the owner of both what \`keyturn fence install --record-set ${recordSet} --sql\` prints.`,
    },
  );
}
