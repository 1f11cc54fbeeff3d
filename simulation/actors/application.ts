import { createHash } from 'node:crypto';
import { KeyturnError, RecordStoreError } from '../../shared/errors/errors.ts';
import { createFieldCipher, type FieldCipher } from '../../shared/keyring/field-cipher.ts';
import type { Keyring } from '../../shared/keyring/keyring.ts';
import type { RecordKey } from '../../shared/records/record-store.ts';
import { createDice, type Dice } from '../dice.ts';
import type { Action } from '../plan.ts';
import type { Process } from '../process.ts';
import type { World } from '../world.ts';
import { numberIn, textIn } from './commands.ts';
import { keyNameIn, momentIn } from './moments.ts';
import { putRow, removeRow, rowOf, storeOf } from './rows.ts';

/**
 * An application that uses the library as its own would: it seals what it writes and opens what it reads, with a caching
 * keyring, and knows nothing of rotations. What it committed and what it read is in the history, for the checker.
 */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** Ids that a tenant's records may have: those that are deleted come again. */
const IDS = 8;
const TRIES = 4;

/** How long until it does something again; short while there is a rush. */
export type Pause = (now: number, dice: Dice) => number;

/** Runs to the simulation's end: killed, it is started anew, with an empty cache. */
export function startApplication(world: World, name: string, pause: Pause): void {
  const dice = createDice(world.plan.seed, name);
  const start = () => {
    const process = world.start('application', name, (self) => work(world, self, dice, pause));
    process.onKilled(() => world.scheduler.after(dice.between(SECOND, 10 * MINUTE), start));
  };
  start();
}

interface Application {
  readonly world: World;
  readonly process: Process;
  readonly dice: Dice;
  readonly keyring: Keyring;
  readonly cipher: FieldCipher;
}

async function work(world: World, process: Process, dice: Dice, pause: Pause): Promise<never> {
  const keyring = world.keyringOf(process);
  const app = { world, process, dice, keyring, cipher: cipherOn(world, keyring, dice) };
  for (;;) {
    await process.clock.sleep(pause(world.scheduler.now(), dice));
    freezeSometimes(app);
    try {
      await actOnce(app);
    } catch (error) {
      // A request that fails, as for the application's own users.
      if (!(error instanceof KeyturnError)) throw error;
    }
  }
}

export function cipherOn({ config }: World, keyring: Keyring, dice: Dice): FieldCipher {
  const purposes = (recordSet: string) => config.recordSets[recordSet]?.purpose ?? 'default';
  return createFieldCipher({ keyring, purposes, random: dice.fill });
}

function actOnce(app: Application): Promise<void> {
  const { world, dice } = app;
  const recordSet = dice.pick(Object.keys(world.stores));
  const tenant = dice.pick(tenantsOf(world));
  const id = idOf(world, tenant, dice.below(IDS));
  const exists = rowOf(storeOf(world, recordSet), id) !== undefined;
  // Where there is none it is made at times, and deleted at times where there is one.
  if (!exists) return dice.chance(0.3) ? write(app, recordSet, tenant, id) : Promise.resolve();
  if (dice.chance(0.5)) return read(app, recordSet, tenant, id);
  return dice.chance(0.12) ? remove(app, recordSet, id) : write(app, recordSet, tenant, id);
}

/** Also those that get their key while it runs. */
function tenantsOf({ plan }: World): readonly string[] {
  const later = plan.actions.flatMap(({ name, choice }) =>
    name === 'create-key' && typeof choice['tenant'] === 'string' ? [choice['tenant']] : [],
  );
  return [...new Set([...plan.tenants, ...later])];
}

/** Each tenant's are its own. */
export function idOf(world: World, tenant: string, number: number): RecordKey {
  return [String(tenantsOf(world).indexOf(tenant) * 100 + number + 1)];
}

async function read(
  { world, process, cipher }: Application,
  recordSet: string,
  tenant: string,
  id: RecordKey,
) {
  const store = storeOf(world, recordSet);
  const row = await process.call('store.get', () => rowOf(store, id));
  for (const [i, envelope] of (row?.values ?? []).entries()) {
    const field = store.fields[i];
    if (envelope === null || field === undefined) continue;
    const { code, digest } = await openOne(cipher, { tenant, recordSet, recordId: id, field }, envelope);
    world.history.add({ kind: 'read', recordSet, id, field, envelope, code, digest, by: process.name });
  }
}

async function openOne(
  cipher: FieldCipher,
  context: Parameters<FieldCipher['open']>[0],
  envelope: Uint8Array,
) {
  try {
    const plaintext = await cipher.open(context, envelope);
    return { code: null, digest: createHash('sha256').update(plaintext).digest('hex') };
  } catch (error) {
    if (!(error instanceof KeyturnError)) throw error;
    return { code: error.code, digest: null };
  }
}

/** An application that has nothing cached writes one record of the key. */
export function writeNow(world: World, action: Action): void {
  writeApart(world, action);
}

/**
 * The same, but it stands still between sealing the value and storing it, until a moment of its key has come: by then the version
 * may be an old one.
 */
export function writeLate(world: World, action: Action): void {
  const { choice } = action;
  const moment = momentIn(choice);
  if (moment === null) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  world.moments.when(moment, keyNameIn(choice), numberIn(choice, 'delay'), resolve);
  writeApart(world, action, promise);
}

function writeApart(world: World, { number, name, choice }: Action, meanwhile?: Promise<void>): void {
  const tenant = textIn(choice, 'tenant');
  const purpose = textIn(choice, 'purpose');
  const dice = createDice(world.plan.seed, `${name} ${number}`);
  const recordSets = Object.keys(world.stores).filter(
    (recordSet) => (world.config.recordSets[recordSet]?.purpose ?? 'default') === purpose,
  );
  world.start('application', `${name} ${number}`, async (process) => {
    const keyring = world.keyringOf(process);
    const app = { world, process, dice, keyring, cipher: cipherOn(world, keyring, dice) };
    const id = idOf(world, tenant, dice.below(world.plan.records));
    await write(app, dice.pick(recordSets), tenant, id, meanwhile);
  });
}

/** What the fence refuses, and what took too long, is sealed anew. `meanwhile`: before the first is stored. */
async function write(
  app: Application,
  recordSet: string,
  tenant: string,
  id: RecordKey,
  meanwhile?: Promise<void>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await writeOnce(app, recordSet, tenant, id, tries === 1 ? meanwhile : undefined);
    } catch (error) {
      if (!(error instanceof RecordStoreError) || !error.retryable || tries === TRIES) throw error;
      if (error.code === 'STORE_FENCED') app.keyring.clear();
      await app.process.clock.sleep(app.dice.between(100, 5 * SECOND));
    }
  }
}

/** Sealed and stored in one transaction, which the database ends when it has lasted too long: see `endsLate`. */
async function writeOnce(
  app: Application,
  recordSet: string,
  tenant: string,
  id: RecordKey,
  meanwhile?: Promise<void>,
): Promise<void> {
  const { world, process, dice } = app;
  const { fields } = storeOf(world, recordSet);
  const begun = world.scheduler.now();
  const begunHere = process.clock.now();
  const isLate = (since: number, now: number) =>
    endsLate(world, recordSet) && now - since > world.config.rotation.maxTransactionSeconds * SECOND;
  const plaintexts = fields.map(() => drawPlaintext(dice));
  const values: (Uint8Array | null)[] = [];
  for (const [i, plaintext] of plaintexts.entries()) {
    const context = { tenant, recordSet, recordId: id, field: fields[i] ?? '' };
    values.push(plaintext === null ? null : await app.cipher.seal(context, plaintext));
  }
  freezeSometimes(app);
  await meanwhile;
  if (isLate(begunHere, process.clock.now())) throw late();
  await process.call('store.put', () => {
    if (isLate(begun, world.scheduler.now())) throw late();
    putRow(world, recordSet, process.name, { id, tenant, values, plaintexts });
  });
}

/**
 * Whether the application keeps its part of the protocol. It need not where a fence refuses what is old: unless its minimum
 * is ever lowered, as it is for a rollback and for a restore.
 */
function endsLate(world: World, recordSet: string): boolean {
  const isFenced = storeOf(world, recordSet).minimums !== null;
  return !isFenced || world.plan.actions.some(({ name }) => name === 'rollback' || name === 'restore');
}

function remove({ world, process }: Application, recordSet: string, id: RecordKey): Promise<void> {
  return process.call('store.remove', () => removeRow(world, recordSet, process.name, id));
}

/** It stands still with what it has cached and sealed: a paused virtual machine. */
function freezeSometimes({ world: { faults }, process }: Application): void {
  if (!faults.fires('frozen-application', process.name)) return;
  const { dice } = faults;
  process.freeze(dice.chance(0.5) ? dice.between(1, 30) * MINUTE : dice.between(1, 20) * 60 * MINUTE);
}

function drawPlaintext(dice: Dice): Uint8Array | null {
  return dice.chance(0.05) ? null : Buffer.from(`value ${dice.below(2 ** 31)}`);
}

function late(): RecordStoreError {
  return new RecordStoreError('STORE_FAILED', 'The transaction took too long and was ended', {
    retryable: true,
  });
}

/** All records that there are at the beginning. */
export async function insertFirst(
  world: World,
  process: Process,
  cipher: FieldCipher,
  dice: Dice,
): Promise<void> {
  for (const recordSet of Object.keys(world.stores)) {
    const { fields } = storeOf(world, recordSet);
    for (const tenant of world.plan.tenants) {
      for (let number = 0; number < world.plan.records; number++) {
        const id = idOf(world, tenant, number);
        const plaintexts = fields.map(() => drawPlaintext(dice));
        const values = await Promise.all(
          plaintexts.map((plaintext, i) =>
            plaintext === null
              ? null
              : cipher.seal({ tenant, recordSet, recordId: id, field: fields[i] ?? '' }, plaintext),
          ),
        );
        putRow(world, recordSet, process.name, { id, tenant, values, plaintexts });
      }
    }
  }
}

/**
 * Slow, but for the minutes of a rush: it is then that writes meet a sweep. `rushes`: true times, from and to.
 */
export function pauseBetween(rushes: readonly { readonly from: number; readonly to: number }[]): Pause {
  return (now, dice) => {
    if (rushes.some(({ from, to }) => now >= from && now < to))
      return dice.chance(0.5) ? dice.between(50, 3 * SECOND) : dice.between(3 * SECOND, 2 * MINUTE);
    const idle = dice.between(5 * MINUTE, 50 * MINUTE);
    return rushes.reduce((least, { from }) => (from > now ? Math.min(least, from - now) : least), idle);
  };
}
