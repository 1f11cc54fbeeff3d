import { afterAll, describe, expect, it } from 'vitest';
import { createCensusProgress } from '../../scripts/cli/census-progress.ts';
import { RecordStoreError } from '../../shared/errors/errors.ts';
import type { FoundColumn } from '../../shared/records/store-search.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { fill, prepareWorlds } from '../support/memory-world.ts';
import { capture, runOn } from './capture.ts';

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

  const found = (changes: Partial<FoundColumn> = {}): FoundColumn => ({
    ...{ table: 'public.old', column: 'card', materialized: false, envelopes: 5, ofKey: 3, onVersion: 2 },
    ...changes,
  });

  it('looks for columns that nobody declares when it is told to, and everywhere anyhow', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 2);
    world.elsewhere.found = {
      found: [found()],
      unsearched: [{ table: 'public.docs', columns: ['j'], reason: 'TYPE' }],
    };
    const plain = await runOn(world.deps, ['census', '--tenant', 'acme', '--expect-only-active']);
    expect(plain.code).toBe(0);
    expect(plain.stdout).toContain('columns that no record set declares were not looked for');
    for (const option of ['--completeness', '--everywhere']) {
      const argv = ['census', '--tenant', 'acme', option, '--expect-only-active'];
      const ended = await runOn(world.deps, argv);
      expect(ended.code).toBe(4);
      expect(ended.stdout).toContain('main.public.old.card: 5 envelopes, 3 of this key\n');
      expect(ended.stdout).toContain('main public.docs (j): of a type that may hold envelopes');
      expect(ended.stdout).toContain('main.public.old.card holds envelopes and is not declared.');
      expect(ended.stdout).not.toContain('Nothing but the active version');
    }
    world.elsewhere.found = { found: [found({ ofKey: 0, onVersion: 0 })], unsearched: [] };
    const others = await runOn(world.deps, [
      'census',
      '--tenant',
      'acme',
      '--everywhere',
      '--expect-only-active',
    ]);
    expect(others.code).toBe(0);
  });

  it('is no proof while a table that the key served is not read', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 2);
    const served = { store: 'main', table: 'moved', columns: ['card'] };
    await world.changeKey((key) => ({ ...key, serves: [...key.serves, served], revision: key.revision + 1 }));
    const ended = await runOn(world.deps, ['census', '--tenant', 'acme', '--expect-only-active']);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('main moved (card), which the key served, was not read.');
  });

  it('is kept, listed and shown, and tells the audit', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 2);
    const ids = [];
    for (const reach of [[], ['--everywhere']]) {
      world.pass(60);
      const taken = await runOn(world.deps, ['census', '--tenant', 'acme', ...reach, '--json']);
      ids.push(JSON.parse(taken.stdout).censusId);
    }
    const listed = await runOn(world.deps, ['census', 'list', '--tenant', 'acme', '--json']);
    const all = JSON.parse(listed.stdout);
    expect(all.map(({ censusId }: { censusId: string }) => censusId)).toEqual(ids.toReversed());
    expect(all[0]).toMatchObject({ reach: 'everywhere', undeclared: [], jobId: null, active: 1 });
    const text = await runOn(world.deps, ['census', 'list', '--tenant', 'acme', '--limit', '1']);
    expect(text.stdout.trim().split('\n')).toHaveLength(2);
    const shown = await runOn(world.deps, ['census', 'show', ids[0]]);
    expect(shown.stdout).toContain('main people  people');
    expect(shown.stdout).toContain('Not read:');
    expect(shown.stdout).toContain('Asked for by person:');
    const entries = (await world.deps.audit.listAuditEntries('acme', 1, 100)).map(
      ({ entry }) => entry?.eventId ?? '',
    );
    expect(entries.filter((id) => id.startsWith('census/'))).toEqual(ids.map((id) => `census/${id}`));
    await expect(runOn(world.deps, ['census', 'show', 'none'])).rejects.toMatchObject({
      code: 'CENSUS_NOT_FOUND',
    });
  });

  it('counts every key, and one that fails stops no other', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 2);
    await runOn(world.deps, ['keys', 'create', '--tenant', 'acme', '--purpose', 'spare']);
    let calls = 0;
    world.faults.before = (call) => {
      if (call === 'store.segments' && ++calls === 1) {
        throw new RecordStoreError('STORE_BUSY', 'busy', { retryable: true });
      }
    };
    const ended = await runOn(world.deps, ['census', '--all', '--json']);
    expect(ended.code).toBe(5);
    expect(JSON.parse(ended.stdout).censuses).toMatchObject([
      { tenant: 'acme', purpose: 'default', error: { code: 'STORE_BUSY' } },
      { tenant: 'acme', purpose: 'spare', onlyActive: false },
    ]);
    await expect(runOn(world.deps, ['census'])).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('a census of all keys where there is none', () => {
  it('proves nothing', async () => {
    const { deps } = await worlds.makeWorld(createMemoryLedger());
    // Another ledger than the one that was meant.
    const world = { deps: { ...deps, ledger: createMemoryLedger() } };
    const all = ['census', '--all', '--everywhere'];
    const ended = await runOn(world.deps, all);
    expect(ended).toMatchObject({ code: 0, stdout: 'There are no keys to count: nothing was read.\n' });
    expect((await runOn(world.deps, [...all, '--expect-only-active'])).code).toBe(4);
  });
});

describe('the progress of a census', () => {
  it('is a line now and then, with rate and time left', () => {
    const captured = capture();
    let now = 0;
    const progress = createCensusProgress(captured.out, 'census of acme', () => now);
    for (let done = 1; done <= 8; done++) {
      now += 2_000;
      progress.show({ done, parts: 8, rows: done * 1_000 });
    }
    progress.stop();
    expect(captured.text().stderr.trim().split('\n')).toEqual([
      'census of acme: 3,000 rows, 3 of 8 parts, 500/s, 10 s left',
      'census of acme: 6,000 rows, 6 of 8 parts, 500/s, 4 s left',
    ]);
  });
});
