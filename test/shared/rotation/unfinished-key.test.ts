import { afterAll, expect, it } from 'vitest';
import { createKey } from '../../../shared/rotation/create-key.ts';
import { requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testKey } from '../../contracts/ledger.ts';
import { KEY, prepareWorlds } from '../../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

it('A key whose creation was cut off is not rotated: no job is made that could only fail', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await world.ledger.createKey(testKey({ tenant: 'other', purpose: KEY.purpose }));
  expect((await world.ledger.getKey('other', KEY.purpose))?.active).toBe(0);
  await expect(requestRotation(world.deps, { ...KEY, tenant: 'other' })).rejects.toMatchObject({
    code: 'VERSION_STATE',
    remedy: expect.stringContaining('keyturn keys create'),
  });
  expect(await world.ledger.listJobs()).toEqual([]);
  // One that is whole is.
  expect((await createKey(world.deps, 'third', KEY.purpose)).key.active).toBe(1);
  expect((await requestRotation(world.deps, { ...KEY, tenant: 'third' })).answer).toBe('started');
});
