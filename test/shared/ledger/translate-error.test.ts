import { describe, expect, it } from 'vitest';
import { LedgerError } from '../../../shared/errors/errors.ts';
import { translateError } from '../../../shared/ledger/translate-error.ts';

const named = (name: string, more: object = {}) =>
  Object.assign(new Error('secret detail'), { name, ...more });

describe('translateError', () => {
  it.each([
    ['ResourceNotFoundException', 'LEDGER_NOT_FOUND', false],
    ['AccessDeniedException', 'LEDGER_DENIED', false],
    ['ExpiredTokenException', 'LEDGER_DENIED', true],
    ['CredentialsProviderError', 'LEDGER_DENIED', true],
    ['ProvisionedThroughputExceededException', 'LEDGER_UNAVAILABLE', true],
    ['ThrottlingException', 'LEDGER_UNAVAILABLE', true],
    ['TimeoutError', 'LEDGER_UNAVAILABLE', true],
    ['ValidationException', 'LEDGER_UNAVAILABLE', false],
  ])('%s is %s', (name, code, retryable) => {
    const error = translateError(named(name), 'ledger');
    expect(error).toMatchObject({ code, retryable });
    expect(error.message).not.toContain('secret detail');
  });

  it('takes a refused connection and a failing server as an outage', () => {
    const outage = { code: 'LEDGER_UNAVAILABLE', retryable: true };
    expect(translateError(named('Error', { code: 'ECONNREFUSED' }), 'ledger')).toMatchObject(outage);
    expect(translateError(named('AggregateError', { code: 'ECONNREFUSED' }), 'ledger')).toMatchObject(outage);
    expect(
      translateError(named('InternalServerError', { $metadata: { httpStatusCode: 500 } }), 'l'),
    ).toMatchObject(outage);
  });

  it('passes its own errors and takes anything else as a failure', () => {
    const own = new LedgerError('REVISION_CONFLICT', 'x');
    expect(translateError(own, 'ledger')).toBe(own);
    expect(translateError('a string', 'ledger')).toMatchObject({
      code: 'LEDGER_UNAVAILABLE',
      retryable: false,
    });
  });
});
