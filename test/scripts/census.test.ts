import { afterAll, describe, expect, it } from 'vitest';
import { createMemoryLedger } from '../support/memory-ledger.ts';
import { fill, prepareWorlds } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

describe('keyturn census', () => {
  it('proves that nothing but the active version was read', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 4);
    const ended = await runOn(world.deps, ['census', '--tenant', 'acme', '--expect-only-active']);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('Nothing but the active version was read.');
    const json = await runOn(world.deps, ['census', '--tenant', 'acme', '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      onlyActive: true,
      coverage: { people: { rows: 4, values: 8 }, notes: { rows: 2, values: 4 } },
    });
  });

  it('fails where a value is no envelope, if it is told to', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 1);
    world.people.rows.set('["9"]', {
      key: ['9'],
      tenant: 'acme',
      values: [Buffer.from('x'), null],
      plaintext: [],
    });
    expect((await runOn(world.deps, ['census', '--tenant', 'acme'])).code).toBe(0);
    const ended = await runOn(world.deps, ['census', '--tenant', 'acme', '--expect-only-active']);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('1 value not on the active version.');
  });

  it('takes reading nothing for no proof', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    const spare = ['--tenant', 'acme', '--purpose', 'spare'];
    await runOn(world.deps, ['keys', 'create', ...spare]);
    const ended = await runOn(world.deps, ['census', ...spare, '--expect-only-active']);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('nothing was read');
    expect(ended.stdout).not.toContain('Nothing but the active version');
    const json = await runOn(world.deps, ['census', ...spare, '--json']);
    expect(json.code).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({ onlyActive: false, stale: 0, coverage: {} });
  });
});
