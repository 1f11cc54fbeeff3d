import type { KeyObject } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { KekContext, RootKeyProvider, WrappedKek } from '../../shared/providers/root-key-provider.ts';

/** What every root-key provider must do. `another` has a root key of its own and can do nothing with the first one's. */
export interface ProviderFixture {
  readonly provider: RootKeyProvider;
  readonly another: RootKeyProvider;
}

const CONTEXT: KekContext = {
  tenant: 'acme',
  purpose: 'default',
  keyId: '01900000-0000-7000-8000-000000000001',
  version: 1,
};

const UNWRAP_FAILED = { name: 'ProviderError', code: 'UNWRAP_FAILED', retryable: false };

export function describeRootKeyProvider(name: string, makeFixture: () => Promise<ProviderFixture>): void {
  describe(`${name}: root-key provider contract`, () => {
    let provider: RootKeyProvider;
    let another: RootKeyProvider;
    let wrapped: WrappedKek;
    beforeAll(async () => {
      ({ provider, another } = await makeFixture());
      wrapped = await provider.generateKek(CONTEXT);
    });

    it('unwraps what it generated, to 256 bits, again and again', async () => {
      const kek = await provider.unwrapKek(wrapped, CONTEXT);
      expect(kek).toMatchObject({ type: 'secret', symmetricKeySize: 32 });
      expect(sameKey(await provider.unwrapKek(wrapped, CONTEXT), kek)).toBe(true);
    });

    it('makes a fresh KEK each time, also 20 at a time', async () => {
      const many = await Promise.all(Array.from({ length: 20 }, () => provider.generateKek(CONTEXT)));
      const keks = await Promise.all(many.map((each) => provider.unwrapKek(each, CONTEXT)));
      expect(new Set(keks.map((kek) => kek.export().toString('hex'))).size).toBe(20);
      expect(new Set(many.map((each) => Buffer.from(each.wrapped).toString('hex'))).size).toBe(20);
    });

    it('does not show the KEK in what it returns', async () => {
      const kek = (await provider.unwrapKek(wrapped, CONTEXT)).export();
      expect(Buffer.from(wrapped.wrapped).includes(kek)).toBe(false);
    });

    it.each<[string, Partial<KekContext>]>([
      ['tenant', { tenant: 'acmf' }],
      ['purpose', { purpose: 'other' }],
      ['key id', { keyId: '01900000-0000-7000-8000-000000000002' }],
      ['version', { version: 2 }],
      ['a moved border between two members', { tenant: 'acm', purpose: 'edefault' }],
      ['a quoted border', { tenant: 'acme","default', purpose: '' }],
    ])('does not unwrap in another context: %s', async (_, change) => {
      await expect(provider.unwrapKek(wrapped, { ...CONTEXT, ...change })).rejects.toMatchObject(
        UNWRAP_FAILED,
      );
    });

    it('does not unwrap changed bytes, whichever is changed, cut off or added', async () => {
      for (let i = 0; i < wrapped.wrapped.length; i++) {
        const changed = new Uint8Array(wrapped.wrapped);
        changed[i] = (changed[i] ?? 0) ^ 1;
        await expect(provider.unwrapKek({ ...wrapped, wrapped: changed }, CONTEXT)).rejects.toMatchObject(
          UNWRAP_FAILED,
        );
      }
      for (const length of [0, 1, 16, wrapped.wrapped.length - 1]) {
        const cut = wrapped.wrapped.subarray(0, length);
        await expect(provider.unwrapKek({ ...wrapped, wrapped: cut }, CONTEXT)).rejects.toMatchObject(
          UNWRAP_FAILED,
        );
      }
      const longer = Uint8Array.from([...wrapped.wrapped, 0]);
      await expect(provider.unwrapKek({ ...wrapped, wrapped: longer }, CONTEXT)).rejects.toMatchObject(
        UNWRAP_FAILED,
      );
    });

    it("does not unwrap under another root key, nor another's under its own", async () => {
      const foreign = await another.generateKek(CONTEXT);
      expect(foreign.rootKeyId).not.toBe(wrapped.rootKeyId);
      for (const [by, blob] of [
        [another, wrapped],
        [another, { ...wrapped, rootKeyId: foreign.rootKeyId }],
        [provider, foreign],
        [provider, { ...foreign, rootKeyId: wrapped.rootKeyId }],
      ] as const) {
        await expect(by.unwrapKek(blob, CONTEXT)).rejects.toMatchObject(UNWRAP_FAILED);
      }
    });

    it('gives one and the same message for every cause of a failed unwrap', async () => {
      const attempts = [
        provider.unwrapKek(wrapped, { ...CONTEXT, version: 9 }),
        provider.unwrapKek({ ...wrapped, wrapped: new Uint8Array(3) }, CONTEXT),
        provider.unwrapKek({ ...wrapped, rootKeyId: 'nobody' }, CONTEXT),
      ];
      const messages = await Promise.all(
        attempts.map((attempt) => attempt.catch((error: unknown) => String(error))),
      );
      expect(new Set(messages).size).toBe(1);
    });

    it('destroys a KEK twice as once, and leaves the others', async () => {
      const doomed = await provider.generateKek({ ...CONTEXT, version: 7 });
      await provider.destroyKek(doomed, { ...CONTEXT, version: 7 });
      await provider.destroyKek(doomed, { ...CONTEXT, version: 7 });
      await expect(provider.unwrapKek(wrapped, CONTEXT)).resolves.toBeDefined();
    });

    it('checks itself', async () => {
      await expect(provider.check()).resolves.toBeUndefined();
    });
  });
}

function sameKey(a: KeyObject, b: KeyObject): boolean {
  return a.equals(b);
}
