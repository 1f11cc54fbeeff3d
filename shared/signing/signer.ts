import type { JWK } from 'jose';

/**
 * The port to a private key that signs: certificates, anchors of the audit chain, approvals. What it makes is a JWS in
 * compact form (RFC 7515) that any library verifies with the public key.
 */

/** EdDSA: Ed25519 (RFC 8037). PS256: RSASSA-PSS with SHA-256 (RFC 7518, section 3.5), for RSA keys in KMS. */
export const SIGNATURE_ALGORITHMS = ['EdDSA', 'PS256'] as const;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

export interface Signer {
  /** With `kid`, its JWK thumbprint (RFC 7638), `alg` and `use: "sig"`. */
  publicKey(): Promise<JWK>;
  /**
   * A compact JWS over the payload's canonical JSON (RFC 8785), with `alg`, `kid` and `typ` in its protected header. `typ`
   * says what is signed, so that one kind of statement never passes for another. Throws a SigningError.
   */
  sign(typ: string, payload: object): Promise<string>;
}
