import type { KeyObject } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { KekContext, RootKeyProvider, WrappedKek } from '../../shared/providers/root-key-provider.ts';

/** What every root-key provider must do. `another` has a root key of its own and can do nothing with the first one's. */
export interface ProviderFixture {
  readonly provider: RootKeyProvider;
  readonly another: RootKeyProvider;
  /** A name of the right form that no root key has. */
  readonly unknownRootKeyId: string;
}

/** Why an emulator behind the provider cannot pass a part of the contract, which then is not run on it. */
export interface NotEmulated {
  readonly changedBytes?: string;
  readonly otherRootKeys?: string;
}

const CONTEXT: KekContext = {
  tenant: 'acme',
  purpose: 'default',
  keyId: '01900000-0000-7000-8000-000000000001',
  version: 1,
};

const UNWRAP_FAILED = { name: 'ProviderError', code: 'UNWRAP_FAILED', retryable: false };

const OTHER_CONTEXTS: readonly (readonly [string, Partial<KekContext>])[] = [
  ['tenant', { tenant: 'acmf' }],
  ['purpose', { purpose: 'other' }],
  ['key id', { keyId: '01900000-0000-7000-8000-000000000002' }],
  ['version', { version: 2 }],
  ['a moved border between two members', { tenant: 'acm', purpose: 'edefault' }],
  ['a quoted border', { tenant: 'acme","default', purpose: '' }],
];

export function describeRootKeyProvider(
  name: string,
  makeFixture: () => Promise<ProviderFixture>,
  notEmulated: NotEmulated = {},
): void {
  describe(`${name}: root-key provider contract`, () => {
    let provider: RootKeyProvider;
    let another: RootKeyProvider;
    let unknownRootKeyId: string;
    let wrapped: WrappedKek;
    beforeAll(async () => {
      ({ provider, another, unknownRootKeyId } = await makeFixture());
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

    it.each(OTHER_CONTEXTS)('neither unwraps nor rewraps in another context: %s', async (_, change) => {
      const context = { ...CONTEXT, ...change };
      await expect(provider.unwrapKek(wrapped, context)).rejects.toMatchObject(UNWRAP_FAILED);
      await expect(provider.rewrapKek(wrapped, context)).rejects.toMatchObject(UNWRAP_FAILED);
    });

    it.skipIf(notEmulated.changedBytes)(
      'does not unwrap changed bytes, whichever is changed, cut off or added',
      async () => {
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
      },
    );

    it.skipIf(notEmulated.otherRootKeys)(
      "does not unwrap under another root key, nor another's under its own",
      async () => {
        const foreign = await another.generateKek(CONTEXT);
        expect(foreign.rootKeyId).not.toBe(wrapped.rootKeyId);
        for (const [by, blob] of [
          [another, wrapped],
          [another, { ...wrapped, rootKeyId: foreign.rootKeyId }],
          [provider, foreign],
          [provider, { ...foreign, rootKeyId: wrapped.rootKeyId }],
        ] as const) {
          await expect(by.unwrapKek(blob, CONTEXT)).rejects.toMatchObject(UNWRAP_FAILED);
          await expect(by.rewrapKek(blob, CONTEXT)).rejects.toMatchObject(UNWRAP_FAILED);
        }
      },
    );

    it('gives one and the same message for every cause of a failed unwrap', async () => {
      const attempts = [
        provider.unwrapKek(wrapped, { ...CONTEXT, version: 9 }),
        provider.unwrapKek({ ...wrapped, wrapped: new Uint8Array(3) }, CONTEXT),
        provider.unwrapKek({ ...wrapped, rootKeyId: 'nobody' }, CONTEXT),
        provider.unwrapKek({ ...wrapped, rootKeyId: unknownRootKeyId }, CONTEXT),
        provider.rewrapKek(wrapped, { ...CONTEXT, version: 9 }),
        provider.rewrapKek({ ...wrapped, wrapped: new Uint8Array(3) }, CONTEXT),
        provider.rewrapKek({ ...wrapped, rootKeyId: unknownRootKeyId }, CONTEXT),
      ];
      const messages = await Promise.all(
        attempts.map((attempt) => attempt.catch((error: unknown) => String(error))),
      );
      expect(new Set(messages).size).toBe(1);
    });

    it('wraps anew what is the same KEK, in the same context only, and leaves the first blob as it was', async () => {
      const kek = await provider.unwrapKek(wrapped, CONTEXT);
      const rewrapped = await provider.rewrapKek(wrapped, CONTEXT);
      expect(rewrapped.rootKeyId).toBe(provider.rootKeyFor(CONTEXT.tenant));
      expect(Buffer.from(rewrapped.wrapped).equals(wrapped.wrapped)).toBe(false);
      expect(Buffer.from(rewrapped.wrapped).includes(kek.export())).toBe(false);
      expect(sameKey(await provider.unwrapKek(rewrapped, CONTEXT), kek)).toBe(true);
      expect(sameKey(await provider.unwrapKek(wrapped, CONTEXT), kek)).toBe(true);
      const again = await provider.rewrapKek(rewrapped, CONTEXT);
      expect(sameKey(await provider.unwrapKek(again, CONTEXT), kek)).toBe(true);
      for (const [, change] of OTHER_CONTEXTS) {
        await expect(provider.unwrapKek(rewrapped, { ...CONTEXT, ...change })).rejects.toMatchObject(
          UNWRAP_FAILED,
        );
      }
    });

    it('says under which root key a new KEK will be, for any tenant', async () => {
      expect(wrapped.rootKeyId).toBe(provider.rootKeyFor(CONTEXT.tenant));
      for (const tenant of ['globex', 'constructor', '__proto__']) {
        const { rootKeyId } = await provider.generateKek({ ...CONTEXT, tenant });
        expect(rootKeyId).toBe(provider.rootKeyFor(tenant));
      }
    });

    it('tells the state of its root key, and of one that is not there', async () => {
      const usable = { rootKeyId: wrapped.rootKeyId, state: 'ENABLED' } as const;
      const status = await provider.inspectRootKey(wrapped.rootKeyId);
      expect(status).toMatchObject({ ...usable, materialExpiresAt: null, deletionAt: null });
      for (const { materialId } of [wrapped, status]) {
        expect(materialId === null || (typeof materialId === 'string' && materialId !== '')).toBe(true);
      }
      for (const rootKeyId of [unknownRootKeyId, 'nobody', '']) {
        expect(await provider.inspectRootKey(rootKeyId)).toEqual({
          rootKeyId,
          state: 'NOT_FOUND',
          materialId: null,
          materialExpiresAt: null,
          deletionAt: null,
          automaticRotation: null,
        });
      }
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
