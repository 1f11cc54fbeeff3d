import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { LedgerError } from '../../errors/errors.ts';

/**
 * The port to the key that authenticates what the pipeline keeps for itself: the items of the ledger and the messages of
 * the queue. HMAC-SHA-256 (RFC 2104). Whoever can write the table or the queue cannot make one of them pass for the
 * pipeline's own without that key.
 */
export interface Authenticator {
  /** base64url. Throws a LedgerError: retryable while the key is out of reach. */
  mac(bytes: Uint8Array): Promise<string>;
  /** False: whoever made the MAC had another key, or other bytes. Throws as `mac`. */
  verify(bytes: Uint8Array, mac: string): Promise<boolean>;
}

/** For `verify` no key is ever made: what is there already was authenticated by the one that is missing. */
export type KeyUse = 'mac' | 'verify';

/** The key is loaded when it is first needed, and kept for as long as the process lives. */
export function createAuthenticator(load: (use: KeyUse) => Promise<KeyObject>): Authenticator {
  let loaded: KeyObject | undefined;
  const loading = new Map<KeyUse, Promise<KeyObject>>();
  const keyFor = (use: KeyUse): KeyObject | Promise<KeyObject> => {
    if (loaded !== undefined) return loaded;
    let attempt = loading.get(use);
    if (attempt === undefined) {
      attempt = load(use)
        .then((key) => {
          loaded = key;
          return key;
        })
        .finally(() => loading.delete(use));
      loading.set(use, attempt);
    }
    return attempt;
  };
  return {
    mac: async (bytes) => hmac(await keyFor('mac'), bytes).toString('base64url'),
    verify: async (bytes, mac) => {
      const own = hmac(await keyFor('verify'), bytes);
      const given = Buffer.from(mac, 'base64url');
      return given.length === own.length && timingSafeEqual(given, own);
    },
  };
}

function hmac(key: KeyObject, bytes: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}

/** For applications, which must not be able to forge anything: they read what is there, and write nothing. */
export const WITHOUT_STATE_KEY: Authenticator = {
  mac: async () => {
    throw new LedgerError(
      'LEDGER_DENIED',
      'This process has no state key, so it writes nothing to the ledger',
      {
        remedy: 'Only the functions and the command line change keys and jobs; an application reads keys',
      },
    );
  },
  verify: async () => true,
};
