import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { KID_FROM_END, TAIL_LENGTH } from '../../envelope/layout.ts';
import type { FieldChange, FrameChange, RecordChange, RecordKey, ReplaceOutcome } from '../record-store.ts';
import { plaintextBytes } from './sql/adoption.ts';
import { quote } from './sql/identifiers.ts';
import { type InputColumn, keyInputs } from './sql/range.ts';
import { existing, type FieldUpdate, updateRecords } from './sql/rows.ts';
import type { FieldColumn, TableShape } from './table.ts';
import type { Queryable, Statement } from './transaction.ts';
import { byteaArray, byteaEndArray, int4Array, textArray } from './values.ts';

/** What `replace` and `fill` have in common: who is written, and how many bytes it takes. */
interface Change {
  readonly key: RecordKey;
  readonly tenant: string;
}

/** A field's part of the statement: its input arrays, and how it is compared and set. */
export interface FieldInput {
  readonly inputs: readonly InputColumn[];
  readonly update: FieldUpdate;
}

/** Compare-and-set of a chunk; an outcome per change, in order. */
export async function applyChanges<C extends Change>(
  db: Queryable,
  shape: TableShape,
  changes: readonly C[],
  size: (change: C) => number,
  fieldInputs: (changes: readonly C[]) => readonly FieldInput[],
  notAfter?: number,
): Promise<ReplaceOutcome[]> {
  const outcomes: ReplaceOutcome[] = [];
  for (const batch of byBytes(changes, size))
    outcomes.push(...(await applyBatch(db, shape, batch, fieldInputs, notAfter)));
  return outcomes;
}

async function applyBatch<C extends Change>(
  db: Queryable,
  shape: TableShape,
  changes: readonly C[],
  fieldInputs: (changes: readonly C[]) => readonly FieldInput[],
  notAfter: number | undefined,
): Promise<ReplaceOutcome[]> {
  const keys = changes.map(({ key }) => key);
  const fields = fieldInputs(changes);
  const inputs: InputColumn[] = [...keyInputs(shape.keys, keys), ...fields.flatMap((field) => field.inputs)];
  // A chunk of a rotation is of one tenant, and one comparison costs less than a column of them.
  const [first] = changes;
  const oneTenant = changes.every(({ tenant }) => tenant === first?.tenant) ? first?.tenant : undefined;
  if (oneTenant === undefined) {
    const names = changes.map(({ tenant }) => Buffer.from(tenant, 'utf8'));
    inputs.push({ name: 'tenant', type: 'text', values: textArray(names) });
  }
  const updates = fields.map((field) => field.update);
  const replaced = await queryNumbers(
    db,
    updateRecords(shape, inputs, updates, oneTenant, changes.length, notAfter),
  );
  const outcomes = changes.map((): ReplaceOutcome => 'replaced');
  if (replaced === null) return outcomes;

  const present = await queryNumbers(db, existing(shape, keys));
  return outcomes.map((_, i) => {
    if (replaced.has(i + 1)) return 'replaced';
    return present?.has(i + 1) ? 'conflict' : 'missing';
  });
}

const numbersSchema = z.tuple([z.object({ numbers: z.array(z.int()).nullable() })]);

async function queryNumbers(db: Queryable, statement: Statement): Promise<ReadonlySet<number> | null> {
  const [{ numbers }] = numbersSchema.parse((await db.query(statement)).rows);
  return numbers && new Set(numbers);
}

/** Of one statement's values. */
const BUDGET_BYTES = 32 * 1024 * 1024;

/** In parts of a bounded number of bytes; a chunk of ordinary values is one. */
function* byBytes<C>(changes: readonly C[], size: (change: C) => number): Generator<readonly C[]> {
  let start = 0;
  let bytes = 0;
  for (const [i, change] of changes.entries()) {
    const more = size(change);
    if (bytes + more > BUDGET_BYTES && i > start) {
      yield changes.slice(start, i);
      start = i;
      bytes = 0;
    }
    bytes += more;
  }
  if (start < changes.length) yield start === 0 ? changes : changes.slice(start);
}

export function changeBytes({ changes }: RecordChange): number {
  return changes.reduce((sum, { before, after }) => sum + before.length + after.length, 0);
}

/** Inputs of the fields that some record of the batch changes. */
export function envelopeInputs(shape: TableShape, records: readonly RecordChange[]): readonly FieldInput[] {
  return shape.fields.flatMap((field, f) => {
    const changes = records.map((record) => record.changes.find((change) => change.field === f));
    return changes.some((change) => change !== undefined) ? [envelopeInput(field, f, changes)] : [];
  });
}

/**
 * A rewrap changes only the end of an envelope, and so `before` is sent as the length of what it has in common
 * with `after`, and the rest: half the bytes of both, and still compared to the last byte.
 */
function envelopeInput(
  field: FieldColumn,
  f: number,
  changes: readonly (FieldChange | undefined)[],
): FieldInput {
  const common: number[] = [];
  const raws: (Uint8Array | null)[] = [];
  const rests: (Uint8Array | null)[] = [];
  const afters: (Uint8Array | null)[] = [];
  for (const change of changes) {
    if (change === undefined) {
      common.push(0);
      raws.push(null);
      rests.push(null);
      afters.push(null);
      continue;
    }
    const before = stored(field, change.before);
    const after = stored(field, change.after);
    const prefix = commonPrefix(before, after);
    common.push(prefix);
    raws.push(rawText(field, change.before));
    rests.push(before.subarray(prefix));
    afters.push(after);
  }
  const array = field.form === 'bytea' ? byteaArray : textArray;
  const value = `t.${quote(field.column)}`;
  // A collation of the column's may take different texts for equal; "C" compares bytes.
  const exact = field.form === 'bytea' ? value : `${value} COLLATE "C"`;
  const same = `${exact} = substr(c.a${f}, 1, c.p${f}) || c.b${f}`;
  const raw = raws.some((text) => text !== null);
  return {
    inputs: [
      ...(raw ? [{ name: `r${f}`, type: field.form, values: array(raws) }] : []),
      { name: `p${f}`, type: 'int4', values: int4Array(common) },
      { name: `b${f}`, type: field.form, values: array(rests) },
      { name: `a${f}`, type: field.form, values: array(afters) },
    ],
    update: {
      column: field.column,
      input: `c.a${f}`,
      condition: raw ? `(${same} OR ${exact} = c.r${f})` : same,
    },
  };
}

export function frameBytes({ changes }: FrameChange): number {
  return changes.reduce((sum, { before, after }) => sum + before.bytes.length + after.bytes.length, 0);
}

/**
 * Inputs for frames: only the recipient travels, and is put over the old one. What is compared is the length and the
 * whole tail with the wrapped DEK, which no other envelope has.
 */
export function frameInputs(shape: TableShape, records: readonly FrameChange[]): readonly FieldInput[] {
  return shape.fields.flatMap((field, f) => {
    const changes = records.map((record) => record.changes.find((change) => change.field === f));
    if (changes.every((change) => change === undefined)) return [];
    return [
      field.form === 'text'
        ? envelopeInput(field, f, changes.map(wholeChange))
        : frameInput(field, f, changes),
    ];
  });
}

function wholeChange(change: FrameChange['changes'][number] | undefined): FieldChange | undefined {
  if (change === undefined) return undefined;
  return { field: change.field, before: change.before.bytes, after: change.after.bytes };
}

function frameInput(
  { column }: FieldColumn,
  f: number,
  changes: readonly (FrameChange['changes'][number] | undefined)[],
): FieldInput {
  const value = `t.${quote(column)}`;
  const lengths = changes.map((change) =>
    change === undefined ? 0 : change.before.bytes.length + change.before.omitted,
  );
  const befores = changes.map((change) => change?.before.bytes ?? null);
  const afters = changes.map((change) => change?.after.bytes ?? null);
  return {
    inputs: [
      { name: `l${f}`, type: 'int4', values: int4Array(lengths) },
      { name: `b${f}`, type: 'bytea', values: byteaEndArray(befores, TAIL_LENGTH) },
      { name: `a${f}`, type: 'bytea', values: byteaEndArray(afters, KID_FROM_END) },
    ],
    update: {
      column,
      input: `c.a${f}`,
      // Of the length that the condition compares; overlay would build the value twice.
      value: `substr(${value}, 1, c.l${f} - ${KID_FROM_END}) || c.a${f}`,
      condition: `(octet_length(${value}) = c.l${f} AND substr(${value}, c.l${f} - ${TAIL_LENGTH - 1}) = c.b${f})`,
    },
  };
}

/** The bytes of the value as the column has it. */
function stored({ form }: FieldColumn, value: Uint8Array): Uint8Array {
  if (form === 'bytea') return value;
  return Buffer.from(
    Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64url'),
    'latin1',
  );
}

/** The text itself, where `before` may be one that is no base64url: it is read as it stands, see fieldValue. */
function rawText({ form }: FieldColumn, before: Uint8Array): Uint8Array | null {
  if (form === 'bytea' || !isUtf8(before) || before.includes(0)) return null;
  const text = Buffer.from(before).toString('utf8');
  return Buffer.from(text, 'base64url').toString('base64url') === text ? null : before;
}

/** The end of an envelope that a rewrap changes, in bytes or characters of base64url, and some more. */
const CHANGING_END = 96;

/** Where two values of one length have all but their ends in common: how much; else 0. */
function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  const length = a.length - CHANGING_END;
  if (length <= 0 || a.length !== b.length) return 0;
  return Buffer.compare(a.subarray(0, length), b.subarray(0, length)) === 0 ? length : 0;
}

export interface Filling extends Change {
  readonly changes: readonly {
    readonly field: number;
    readonly plaintext: Uint8Array;
    readonly envelope: Uint8Array;
  }[];
}

export function fillingBytes({ changes }: Filling): number {
  return changes.reduce((sum, { plaintext, envelope }) => sum + plaintext.length + envelope.length, 0);
}

/** The same for adoption: the envelope goes in where there is none and the plaintext is still what was sealed. */
export function plaintextInputs(shape: TableShape, records: readonly Filling[]): readonly FieldInput[] {
  return shape.fields.flatMap((field, f) => {
    const changes = records.map((record) => record.changes.find((change) => change.field === f));
    if (changes.every((change) => change === undefined)) return [];
    const array = field.form === 'bytea' ? byteaArray : textArray;
    const envelopes = changes.map((change) => (change === undefined ? null : stored(field, change.envelope)));
    const empty = `t.${quote(field.column)} IS NULL`;
    // Once the plaintext column is gone, nothing can be filled from it any more.
    const same = field.plaintext === undefined ? 'false' : `${plaintextBytes(field.plaintext)} = c.b${f}`;
    return {
      inputs: [
        {
          name: `b${f}`,
          type: 'bytea',
          values: byteaArray(changes.map((change) => change?.plaintext ?? null)),
        },
        { name: `a${f}`, type: field.form, values: array(envelopes) },
      ],
      update: { column: field.column, input: `c.a${f}`, condition: `(${empty} AND ${same})` },
    };
  });
}
