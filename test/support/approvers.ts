import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLocalSigner } from '../../shared/signing/local-signer.ts';
import type { Signer } from '../../shared/signing/signer.ts';

/** People with an Ed25519 key each, as `keyturn approvers create` makes them. */

export interface Approvers {
  readonly signers: Readonly<Record<string, Signer>>;
  signer(name: string): Signer;
  /** For `approvals.approvers` of a configuration. */
  configured(
    ...names: readonly string[]
  ): Promise<Record<string, { publicKey: object; breakGlass: boolean }>>;
  keyFile(name: string): string;
  remove(): Promise<void>;
}

export async function createApprovers(...names: readonly string[]): Promise<Approvers> {
  const dir = await mkdtemp(join(tmpdir(), 'keyturn-approvers-'));
  const keyFile = (name: string) => join(dir, `${name}.key`);
  const signers = Object.fromEntries(
    names.map((name) => [name, createLocalSigner({ keyFile: keyFile(name), random: bytesOf(name) })]),
  );
  const signer = (name: string) => {
    const found = signers[name];
    if (found === undefined) throw new Error(`no approver ${name}`);
    return found;
  };
  return {
    signers,
    signer,
    keyFile,
    configured: async (...wanted) => {
      const made: [string, { publicKey: object; breakGlass: boolean }][] = [];
      for (const name of wanted) {
        const { kty, crv, x } = await signer(name).publicKey();
        made.push([name, { publicKey: { kty, crv, x }, breakGlass: name.startsWith('emergency') }]);
      }
      return Object.fromEntries(made);
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

function bytesOf(name: string): (buffer: Uint8Array) => void {
  return (buffer) =>
    buffer.set(createHash('shake256', { outputLength: buffer.length }).update(name).digest());
}
