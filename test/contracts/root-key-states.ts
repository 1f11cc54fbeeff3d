import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../shared/errors/errors.ts';
import type {
  KekContext,
  RootKeyProvider,
  RootKeyState,
  WrappedKek,
} from '../../shared/providers/root-key-provider.ts';

/** What a provider must do whose root keys have an owner who can switch them off. */
export interface RootKeyStatesFixture {
  readonly provider: RootKeyProvider;
  /** Switches over the root key that wraps new KEKs, and back. */
  readonly disable: () => Promise<void>;
  readonly enable: () => Promise<void>;
  readonly scheduleDeletion: () => Promise<void>;
  readonly cancelDeletion: () => Promise<void>;
  /** The same root key, by an identity that may do nothing with it. */
  readonly denied: RootKeyProvider;
  /** Behind it, every request is one too many. */
  readonly throttled: RootKeyProvider;
}

const CONTEXT: KekContext = {
  tenant: 'acme',
  purpose: 'default',
  keyId: '01900000-0000-7000-8000-000000000001',
  version: 1,
};

export function describeRootKeyStates(name: string, makeFixture: () => Promise<RootKeyStatesFixture>): void {
  describe(`${name}: states of a root key`, () => {
    let fixture: RootKeyStatesFixture;
    let wrapped: WrappedKek;
    beforeAll(async () => {
      fixture = await makeFixture();
    });
    beforeEach(async () => {
      wrapped = await fixture.provider.generateKek(CONTEXT);
    });

    /** Every use fails with this code, and the error says what to do. */
    async function expectRefusal(provider: RootKeyProvider, code: ErrorCode, retryable: boolean) {
      const uses = [
        () => provider.generateKek(CONTEXT),
        () => provider.unwrapKek(wrapped, CONTEXT),
        () => provider.rewrapKek(wrapped, CONTEXT),
        () => provider.check(),
      ];
      for (const use of uses) {
        const error: unknown = await use().then(
          () => 'it did not fail',
          (thrown: unknown) => thrown,
        );
        expect(error).toMatchObject({ name: 'ProviderError', code, retryable, remedy: expect.any(String) });
        for (const value of [
          CONTEXT.tenant,
          CONTEXT.keyId,
          Buffer.from(wrapped.wrapped).toString('base64'),
        ]) {
          expect(String(error)).not.toContain(value);
        }
      }
    }

    async function expectUsable() {
      await expect(fixture.provider.check()).resolves.toBeUndefined();
      const kek = await fixture.provider.unwrapKek(wrapped, CONTEXT);
      const rewrapped = await fixture.provider.rewrapKek(wrapped, CONTEXT);
      expect((await fixture.provider.unwrapKek(rewrapped, CONTEXT)).equals(kek)).toBe(true);
      await expectState('ENABLED');
    }

    async function expectState(state: RootKeyState) {
      const status = await fixture.provider.inspectRootKey(wrapped.rootKeyId);
      expect(status).toMatchObject({ rootKeyId: wrapped.rootKeyId, state });
      return status;
    }

    it('uses nothing under a disabled root key, says so, and goes on once it is enabled', async () => {
      await fixture.disable();
      await expectRefusal(fixture.provider, 'ROOT_KEY_DISABLED', false);
      expect((await expectState('DISABLED')).deletionAt).toBeNull();
      await fixture.enable();
      await expectUsable();
    });

    it('uses nothing under a root key that waits for its deletion, tells when that is, and goes on once it is kept', async () => {
      await fixture.scheduleDeletion();
      await expectRefusal(fixture.provider, 'ROOT_KEY_PENDING_DELETION', false);
      const { deletionAt } = await expectState('PENDING_DELETION');
      expect(deletionAt).toBe(new Date(deletionAt ?? '').toISOString());
      await fixture.cancelDeletion();
      await expectUsable();
    });

    it('does not take a refusal of its identity for an outage', async () => {
      await expectRefusal(fixture.denied, 'PROVIDER_DENIED', false);
      await expect(fixture.denied.inspectRootKey(wrapped.rootKeyId)).rejects.toMatchObject({
        code: 'PROVIDER_DENIED',
      });
    });

    it('does not take a throttle for a refusal', async () => {
      await expectRefusal(fixture.throttled, 'PROVIDER_THROTTLED', true);
      await expect(fixture.throttled.inspectRootKey(wrapped.rootKeyId)).rejects.toMatchObject({
        code: 'PROVIDER_THROTTLED',
      });
    });
  });
}
