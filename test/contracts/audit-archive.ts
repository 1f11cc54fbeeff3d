import { beforeAll, describe, expect, it } from 'vitest';
import type { AuditArchive } from '../../shared/audit/archive.ts';

/** What every archive must do. `makeArchive` gives an empty one. */

const bytes = (text: string) => new TextEncoder().encode(text);

export function describeArchive(name: string, makeArchive: () => Promise<AuditArchive>): void {
  describe(`${name}: an archive`, () => {
    let archive: AuditArchive;
    beforeAll(async () => {
      archive = await makeArchive();
    });
    const text = async (object: string) => {
      const found = await archive.get(object);
      return found === null ? null : new TextDecoder().decode(found);
    };

    it('has nothing at first', async () => {
      expect(await archive.list('')).toEqual([]);
      expect(await archive.list('acme/')).toEqual([]);
      expect(await archive.get('acme/1.jsonl')).toBeNull();
    });

    it('keeps what was put there first', async () => {
      expect(await archive.put('keep/1.jsonl', bytes('one'))).toBe(true);
      expect(await archive.put('keep/1.jsonl', bytes('two'))).toBe(false);
      expect(await archive.put('keep/1.jsonl', bytes('one'))).toBe(false);
      expect(await text('keep/1.jsonl')).toBe('one');
    });

    it('lists names under a prefix, in order of their bytes', async () => {
      const names = ['list/b', 'list/a-2', 'list/a', 'list/a/x', 'list/%C3%A9', 'list/A', 'listed/z'];
      for (const object of names) await archive.put(object, bytes(object)).catch(() => undefined);
      const stored = await archive.list('list/');
      expect(stored).toEqual([...stored].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
      expect(stored).toEqual(
        expect.arrayContaining(['list/%C3%A9', 'list/A', 'list/a', 'list/a-2', 'list/b']),
      );
      expect(stored).not.toContain('listed/z');
      expect(await archive.list('list/a-')).toEqual(['list/a-2']);
    });

    it('has one winner when many put the same name at once', async () => {
      const puts = Array.from({ length: 10 }, (_, i) => archive.put('race/1', bytes(`${i}`)));
      const won = await Promise.all(puts.map((put) => put.catch(() => false)));
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await text('race/1')).toBe(String(won.indexOf(true)));
    });

    it('holds a large object whole', async () => {
      const large = new Uint8Array(2_000_000).map((_, i) => i % 251);
      await archive.put('large/1', large);
      expect(Buffer.from((await archive.get('large/1')) ?? []).equals(Buffer.from(large))).toBe(true);
    });
  });
}
