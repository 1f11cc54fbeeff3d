import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { settled } from '../../simulation/settled.ts';

/** Other tests run in this process, too: what is done at once must answer as Web Cryptography does. */

const MESSAGE = new TextEncoder().encode('abc');
/** FIPS 180-2, appendix B.1. */
const DIGEST = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';

test.each([
  ['an array', MESSAGE],
  ['a buffer', MESSAGE.buffer],
  ['a part of a buffer', new Uint8Array([0, ...MESSAGE, 0]).subarray(1, 4)],
])('SHA-256 of %s', async (_, data) => {
  const digest = await crypto.subtle.digest('SHA-256', data);
  expect(digest).toBeInstanceOf(ArrayBuffer);
  expect(Buffer.from(digest).toString('hex')).toBe(DIGEST);
});

test('what is left to the threads is waited for', async () => {
  let done = false;
  const digest = crypto.subtle.digest('SHA-512', MESSAGE).then(() => {
    done = true;
  });
  await settled();
  expect(done).toBe(true);
  await digest;
});

test('an Ed25519 signature is verified at once, and only over the very bytes that were signed', async () => {
  const pair = generateKeyPairSync('ed25519');
  const publicKey = pair.publicKey.toCryptoKey('Ed25519', false, ['verify']);
  const signature = Uint8Array.from(sign(null, MESSAGE, pair.privateKey));
  const verify = (bytes: Uint8Array<ArrayBuffer>, by: Uint8Array<ArrayBuffer>) =>
    crypto.subtle.verify({ name: 'Ed25519' }, publicKey, by, bytes);
  let answer: boolean | undefined;
  const asked = verify(MESSAGE, signature).then((is) => {
    answer = is;
  });
  await null;
  await null;
  expect(answer).toBe(true);
  await asked;
  expect(await verify(new TextEncoder().encode('abd'), signature)).toBe(false);
  expect(
    await verify(
      MESSAGE,
      signature.map((byte) => byte ^ 1),
    ),
  ).toBe(false);
});
