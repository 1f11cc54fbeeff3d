import { createSecretKey } from 'node:crypto';
import { createAuthenticator } from '../../shared/ledger/authentication/authenticator.ts';
import type { State } from '../../shared/ledger/authentication/state-key.ts';

/** A state with a key that is no secret. Another name is another key: an attacker's. */
export function createTestState(name = 'test'): State {
  const key = createSecretKey(Buffer.from(name.padEnd(32, '.')));
  return { ...createAuthenticator(async () => key), rewrap: async () => false, check: async () => true };
}

export const testState: State = createTestState();
