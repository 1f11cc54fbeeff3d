import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { Item } from './attribute-values.ts';

/** DynamoDB's limit, in bytes; names and values count. D/amazondynamodb/latest/developerguide/Constraints.html */
export const ITEM_LIMIT = 400 * 1024;

/** In bytes, no less than DynamoDB counts, of the types that `marshalItem` gives. */
export function itemSize(item: Item): number {
  return sizeOf({ M: item });
}

/**
 * UTF-8 bytes of names and texts; bytes as they are; of a number a byte for each two digits, one more, and one for where
 * the pairs begin; 1 of null and of a Boolean; 3 of a list or map, and 1 for each of its elements.
 * D/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html, "DynamoDB item sizes and formats"
 */
function sizeOf(value: AttributeValue): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.B !== undefined) return value.B.length;
  if (value.N !== undefined) return Math.ceil(value.N.length / 2) + 2;
  if (value.L !== undefined) return value.L.reduce((sum, element) => sum + 1 + sizeOf(element), 3);
  if (value.M !== undefined) {
    return Object.entries(value.M).reduce(
      (sum, [name, member]) => sum + 1 + Buffer.byteLength(name) + sizeOf(member),
      3,
    );
  }
  return 1;
}
