import { KeyError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey } from './key.ts';
import { STATE_RULES } from './states.ts';

/** May this version be used for that, by what is known of the key? */

export type Permission =
  | { readonly granted: true; readonly version: KeyVersion; readonly alarm: boolean }
  /**
   * `recheck`: what was read may be outdated, so the refusal counts only when read again: `always` (a record can
   * name a version that was activated a moment ago), `second` (unless it was read within the last second), `never`.
   */
  | { readonly granted: false; readonly error: KeyError; readonly recheck: 'always' | 'second' | 'never' };

export function maySeal(key: TenantKey): Permission {
  const version = key.versions[String(key.active)];
  if (version === undefined) {
    return refuse(
      'always',
      'VERSION_STATE',
      `Key ${key.keyId} has no active version yet`,
      'Activate its first version',
    );
  }
  if (STATE_RULES[version.state].encrypt) return { granted: true, version, alarm: false };
  return refuseState(key, version);
}

export function mayOpen(key: TenantKey, number: number, use: 'open' | 'rewrap'): Permission {
  const version = key.versions[String(number)];
  if (version === undefined) {
    return refuse('always', 'VERSION_NOT_FOUND', `Key ${key.keyId} has no version ${number}`);
  }
  const { decrypt } = STATE_RULES[version.state];
  switch (decrypt) {
    case 'yes':
      return { granted: true, version, alarm: false };
    case 'alarm':
      return { granted: true, version, alarm: true };
    case 'rewrap-only':
      return use === 'rewrap' ? { granted: true, version, alarm: false } : refuseState(key, version);
    case 'self-test':
    case 'no':
      return refuseState(key, version);
  }
}

function refuseState(key: TenantKey, { version, state, suspended }: KeyVersion): Permission {
  const message = `Version ${version} of key ${key.keyId} is ${state}`;
  switch (state) {
    case 'DESTROYED':
      return refuse('never', 'VERSION_DESTROYED', message, 'What it encrypted is gone on purpose');
    case 'PRE_ACTIVE':
      return refuse('always', 'VERSION_STATE', message);
    default:
      return refuse(
        'second',
        'VERSION_STATE',
        message,
        suspended?.reason === 'ROOT_KEY'
          ? `Its root key ${suspended.rootKeyId ?? ''} cannot be used: enable it, or ask whose it is`
          : 'It may not be used now: ask who suspended or revoked it',
      );
  }
}

function refuse(
  recheck: 'always' | 'second' | 'never',
  code: KeyError['code'],
  message: string,
  remedy?: string,
): Permission {
  return {
    granted: false,
    recheck,
    error: new KeyError(code, message, remedy === undefined ? {} : { remedy }),
  };
}
