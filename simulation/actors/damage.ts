import { isTombstone } from '../../shared/envelope/index.ts';
import { VERSION_FROM_END } from '../../shared/envelope/layout.ts';
import type { MemoryRow } from '../models/record-store.ts';
import type { Action } from '../plan.ts';
import type { World } from '../world.ts';
import { numberIn } from './commands.ts';
import { nth } from './person.ts';
import { damageRow, storeOf } from './rows.ts';

/** Accidents with what is stored: afterwards nobody needs to be able to read the value, and everybody else's still is. */

/** Which of all values, and what of it. */
interface Spot {
  readonly recordSet: string;
  readonly row: MemoryRow;
  readonly field: number;
  readonly value: Uint8Array;
}

type Change = (value: Uint8Array, byte: number) => Uint8Array;

/** Far more than a simulation makes. */
const UNKNOWN_VERSION = 1_000_000;
/** Of the content, in the protected header: 3 is A256GCM. 1 is A128GCM (RFC 9053, section 4.1). */
const ALGORITHM_OFFSET = 6;

export const CHANGES = {
  'bit-flipped': (value, byte) => {
    const at = byte % value.length;
    return changed(value, (copy) => copy.writeUInt8(copy.readUInt8(at) ^ (1 << (byte % 8)), at));
  },
  truncated: (value, byte) => Uint8Array.from(value.subarray(0, byte % value.length)),
  'unknown-version': (value, byte) =>
    changed(value, (copy) =>
      copy.writeUInt32BE(UNKNOWN_VERSION + (byte % 10), Math.max(0, value.length - VERSION_FROM_END)),
    ),
  'unknown-algorithm': (value) => changed(value, (copy) => copy.writeUInt8(1, ALGORITHM_OFFSET)),
} as const satisfies Record<string, Change>;

export function damage(world: World, kind: keyof typeof CHANGES, { choice }: Action): void {
  const spot = nth(spotsIn(world), numberIn(choice, 'pick'));
  if (spot === undefined || !world.faults.fires(kind, nameOf(spot))) return;
  write(world, spot, CHANGES[kind](spot.value, numberIn(choice, 'byte')));
}

/** Two values of a field change their places. */
export function swap(world: World, { choice }: Action): void {
  const spots = spotsIn(world);
  const one = nth(spots, numberIn(choice, 'pick'));
  const others = spots.filter(
    ({ recordSet, row, field }) =>
      recordSet === one?.recordSet && field === one.field && row.key.join() !== one.row.key.join(),
  );
  const other = nth(others, numberIn(choice, 'other'));
  if (one === undefined || other === undefined || !world.faults.fires('swapped', nameOf(one))) return;
  write(world, one, other.value);
  write(world, other, one.value);
}

/** In the order of record sets, keys and fields. */
function spotsIn(world: World): readonly Spot[] {
  return Object.keys(world.stores)
    .sort()
    .flatMap((recordSet) =>
      [...storeOf(world, recordSet).rows.values()]
        .sort((a, b) => Number(a.key[0]) - Number(b.key[0]))
        .flatMap((row) =>
          row.values.flatMap((value, field) =>
            value === null || isTombstone(value) || value.length < VERSION_FROM_END
              ? []
              : [{ recordSet, row, field, value }],
          ),
        ),
    );
}

function write(world: World, { recordSet, row, field }: Spot, value: Uint8Array): void {
  damageRow(
    world,
    recordSet,
    row,
    row.values.map((_, i) => (i === field ? value : null)),
  );
}

function nameOf({ recordSet, row, field }: Spot): string {
  return `${recordSet} ${row.key.join()} field ${field}`;
}

function changed(value: Uint8Array, change: (copy: Buffer) => void): Uint8Array {
  const copy = Buffer.from(value);
  change(copy);
  return Uint8Array.from(copy);
}
