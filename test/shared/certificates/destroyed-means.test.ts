import { expect, it } from 'vitest';
import {
  DESTROYED_HOW,
  type Destruction,
  KEPT_AS,
  whatDestroyedMeans,
} from '../../../shared/certificates/destroyed-means.ts';

/** The rows of the table in docs/protocol.md and SECURITY.md: what "destroyed" honestly means. */

const AT = '2026-04-05T02:52:09.000Z';
const of = (changes: Partial<Destruction>): Destruction => ({
  keptAs: 'WRAPPED_KEK',
  destroyedAt: AT,
  ledgerBackupSeconds: 0,
  providerDeletesAt: null,
  ...changes,
});

it('a KEK wrapped by a shared root key is erased once the backups of the ledger have lapsed', () => {
  expect(whatDestroyedMeans(of({ ledgerBackupSeconds: 35 * 86_400 }))).toEqual({
    how: 'ERASED',
    effectiveAt: '2026-05-10T02:52:09.000Z',
    statement: expect.stringMatching(/erased.*backups hold it for up to 35 days.*root key could unwrap it/),
  });
});

it('where the ledger has no backups it is erased at once, and it says that', () => {
  expect(whatDestroyedMeans(of({}))).toEqual({
    how: 'ERASED',
    effectiveAt: AT,
    statement: expect.stringMatching(/has no backups of its own.*Copies .* are not covered/),
  });
});

it("a version's own KMS key is destroyed at the provider's date, not before, and never without one", () => {
  const providerDeletesAt = '2026-05-05T02:52:09.000Z';
  const destruction = of({ keptAs: 'OWN_KMS_KEY', ledgerBackupSeconds: 35 * 86_400 });
  expect(whatDestroyedMeans({ ...destruction, providerDeletesAt })).toEqual({
    how: 'DESTROYED_BY_PROVIDER',
    effectiveAt: providerDeletesAt,
    statement: expect.stringContaining('until then the deletion can be cancelled'),
  });
  expect(whatDestroyedMeans(destruction).effectiveAt).toBeNull();
});

it('material that AWS rotated is logically retired, and never called destroyed', () => {
  expect(whatDestroyedMeans(of({ keptAs: 'AWS_ROTATED_MATERIAL' }))).toEqual({
    how: 'LOGICALLY_RETIRED',
    effectiveAt: null,
    statement: expect.stringContaining('It is not destroyed'),
  });
});

it('imported material is not deleted', () => {
  expect(whatDestroyedMeans(of({ keptAs: 'IMPORTED_MATERIAL' }))).toEqual({
    how: 'NOT_DESTROYED',
    effectiveAt: null,
    statement: expect.stringContaining('makes the whole key unusable'),
  });
});

it('every way that a version is kept has a meaning of its own', () => {
  const meanings = KEPT_AS.map((keptAs) => whatDestroyedMeans(of({ keptAs })));
  expect(meanings.map(({ how }) => how)).toEqual(DESTROYED_HOW);
  expect(new Set(meanings.map(({ statement }) => statement)).size).toBe(KEPT_AS.length);
});
