import { type KeyAttribute, keyItem } from './attributes.ts';
import { translate } from './failures.ts';
import { getItems } from './read.ts';
import type { Requests } from './requests.ts';
import type { TableShape } from './table.ts';
import { indexWalk, partitionWalk, scanWalk } from './walk.ts';

/** A key that need not exist. */
const SOME_KEY = { S: 'keyturn-check', N: '0', B: 'AA' } as const;

/** Makes one request of each kind that a rotation makes; one that is denied says which IAM action is missing. */
export async function checkRights(requests: Requests, shape: TableShape): Promise<void> {
  const key = shape.keys.map(({ type }) => SOME_KEY[type]);
  await scanWalk(requests, shape, 0, 1, { consistent: true }).next(null, 1);
  const { tenant } = shape;
  if (!('fixed' in tenant) && tenant.index !== undefined) {
    await indexWalk(requests, shape, { tenant: SOME_KEY[tenant.index.type] }, 0, 1).next(null, 1);
  }
  if (!('fixed' in tenant) && tenant.partition !== undefined) {
    await partitionWalk(requests, shape, { tenant: SOME_KEY[tenant.partition] }, true).next(null, 1);
  }
  await getItems(requests, shape, [key], true);
  await tryUpdate(requests, shape.keys, key);
}

/** On a condition that no item meets, so that it can never write. */
async function tryUpdate(
  requests: Requests,
  keys: readonly KeyAttribute[],
  key: readonly string[],
): Promise<void> {
  const name = keys[0]?.name ?? '';
  try {
    await requests.update({
      Key: keyItem(key, keys),
      UpdateExpression: 'SET #v = :v',
      ConditionExpression: 'attribute_exists(#k) AND attribute_not_exists(#k)',
      ExpressionAttributeNames: { '#k': name, '#v': 'keyturn-check' },
      ExpressionAttributeValues: { ':v': { NULL: true } },
    });
  } catch (error) {
    throw translate(error, 'UpdateItem', requests.place);
  }
}
