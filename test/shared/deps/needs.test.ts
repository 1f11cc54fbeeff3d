import { afterAll, describe, expect, it } from 'vitest';
import { ALL_NEEDS, absent, limitDeps, type Need } from '../../../shared/deps/needs.ts';
import type { RootKeyProvider } from '../../../shared/providers/root-key-provider.ts';
import type { WorkQueue } from '../../../shared/queue/work-queue.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { fill, PURPOSE, prepareWorlds, TENANT } from '../../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());
const world = await worlds.makeWorld(createMemoryLedger());
await fill(world, 2);
const { keyId } = await world.key();
const wrapped = (await world.key()).versions['1']?.wrapped;
if (wrapped == null) throw new Error('no version');
const context = { tenant: TENANT, purpose: PURPOSE, keyId, version: 1 };
const { deps } = world;

type Use = (limited: typeof deps) => Promise<unknown>;
const store = (limited: typeof deps) => limited.recordSets.store('people');

const USES: readonly (readonly [Need, string, Use])[] = [
  ['ledger', 'reads a key', async (d) => d.ledger.getKey(TENANT, PURPOSE)],
  ['queue', 'sends', async (d) => d.queue.send([])],
  ['sign', 'signs', async (d) => d.signer.sign('test+jws', {})],
  ['sign', 'shows the public key', async (d) => d.signer.publicKey()],
  ['bus', 'publishes', async (d) => d.bus.publish([])],
  ['executions', 'starts', async (d) => d.executions.start('rotate-key', 'x', {})],
  ['provider:generate', 'makes a KEK', async (d) => d.provider.generateKek(context)],
  ['provider:unwrap', 'unwraps', async (d) => d.provider.unwrapKek(wrapped, context)],
  ['provider:unwrap', 'has a KEK from the keyring', async (d) => d.keyring.active(TENANT, PURPOSE)],
  ['ledger', 'has a KEK from the keyring', async (d) => d.keyring.version(TENANT, PURPOSE, 1)],
  ['provider:rewrap', 'rewraps', async (d) => d.provider.rewrapKek(wrapped, context)],
  ['provider:inspect', 'inspects', async (d) => d.provider.inspectRootKey(wrapped.rootKeyId)],
  ['provider:destroy', 'destroys', async (d) => d.provider.destroyKek(wrapped, context)],
  ['stores:read', 'reads records', async (d) => store(d).read([['1']])],
  ['stores:read', 'counts', async (d) => store(d).segments({ tenant: TENANT, keyId }, 1)],
  ['stores:write', 'writes records', async (d) => store(d).replace([])],
  ['stores:write', 'fills', async (d) => store(d).fill([])],
];

describe('what was not declared', () => {
  it.each(USES)('%s: whoever %s is refused', async (need, _, use) => {
    const others = ALL_NEEDS.filter((other) => other !== need);
    await expect(use(limitDeps(deps, others))).rejects.toMatchObject({
      name: 'ConfigError',
      code: 'NEED_NOT_DECLARED',
      message: expect.stringMatching(new RegExp(`"${need}" .*: ${others.join(', ')}$`)),
      remedy: expect.stringContaining('functions/<name>/index.ts'),
    });
    await expect(use(limitDeps(deps, ALL_NEEDS))).resolves.not.toThrow();
  });

  it('is the same limited twice: nothing is won back', async () => {
    const limited = limitDeps(limitDeps(deps, []), ALL_NEEDS);
    await expect((async () => limited.queue.send([]))()).rejects.toMatchObject({ code: 'NEED_NOT_DECLARED' });
  });

  it('has no client: every member of such a port is refused, a plain value too', async () => {
    const provider = absent<RootKeyProvider>('provider:unwrap', []);
    const refused = expect.objectContaining({ code: 'NEED_NOT_DECLARED' });
    expect(() => provider.name).toThrow(refused);
    expect(() => provider.rootKeyFor(TENANT)).toThrow(refused);
    const limited = limitDeps({ ...deps, provider, queue: absent<WorkQueue>('queue', []) }, ALL_NEEDS);
    expect(() => limited.provider.name).toThrow(refused);
    expect(() => limited.queue.send([])).toThrow(refused);
    // A port may be what a promise resolves to.
    await expect(Promise.resolve(provider)).resolves.toBe(provider);
  });

  it('leaves what reaches nothing: names, cursors, the configuration', () => {
    const limited = limitDeps(deps, []);
    expect(limited.provider.rootKeyFor(TENANT)).toBe(wrapped.rootKeyId);
    expect(limited.recordSets.names).toEqual(['notes', 'people']);
    expect(store(limited).fields).toEqual(store(deps).fields);
    expect(store(limited).cursorAfter(['1'])).toBe(store(deps).cursorAfter(['1']));
    limited.keyring.clear();
  });
});
