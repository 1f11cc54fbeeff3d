import { decodeJwt, decodeProtectedHeader, type JWK } from 'jose';
import { z } from 'zod';
import { APPROVAL_TYPE, isSameStatement, statementOf } from '../approvals/binding.ts';
import type { ApprovalsConfig } from '../config/people.ts';
import { CertificateError, SigningError } from '../errors/errors.ts';
import { verifyJws } from '../signing/verify-jws.ts';
import { CERTIFICATE_TYPE, type Certificate, certificateSchema } from './certificate.ts';
import { findInconsistencies } from './inconsistencies.ts';

/** What was looked at in a certificate, and what nobody can see by looking at it. For people. */
export interface CertificateReport {
  readonly certificate: Certificate;
  readonly verified: readonly string[];
  /** Empty: it is valid, as far as was verified. */
  readonly problems: readonly string[];
  readonly notVerified: readonly string[];
}

/**
 * Verifies a certificate by the given public keys alone; nothing else is asked. `approvers` null: there is no
 * configuration that pins the keys of approvers, and the report says so. Throws SIGNATURE_INVALID, or CERTIFICATE_INVALID
 * where none of the keys signed it or what they signed is no certificate.
 */
export async function verifyCertificate(
  jws: string,
  keys: readonly JWK[],
  approvers: ApprovalsConfig['approvers'] | null,
): Promise<CertificateReport> {
  const certificate = parseCertificate(await signedContent(jws, keys));
  const approvals = await verifyApprovals(certificate, approvers);
  const inconsistencies = findInconsistencies(certificate);
  return {
    certificate,
    verified: [
      `The signature, by the key ${signedBy(jws)}`,
      ...(inconsistencies.length === 0
        ? [
            'The content: its counts sum, its census has nothing on the version, and nothing in it contradicts itself',
          ]
        : []),
      ...approvals.verified,
    ],
    problems: [...inconsistencies, ...approvals.problems],
    notVerified: [
      ...approvals.notVerified,
      ...unreported(certificate),
      'Whose key that is: no signature says so',
      'The facts behind it (rows counted, keys erased, times): they are the word of the stack that signed it',
      'What the census did not read, which the certificate lists',
    ],
  };
}

/** What a JWS says, whoever signed it. Throws CERTIFICATE_INVALID. */
export function readCertificate(jws: string): Certificate {
  let content: unknown;
  try {
    content = decodeJwt(jws);
  } catch (cause) {
    throw new CertificateError('CERTIFICATE_INVALID', 'It is no JWS in compact form', { cause });
  }
  return parseCertificate(content);
}

function parseCertificate(content: unknown): Certificate {
  const parsed = certificateSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  if (isOfNewerRelease(content, parsed.error)) {
    throw new CertificateError(
      'CERTIFICATE_INVALID',
      'It has what this release of Keyturn does not know, so that it can vouch for nothing in it',
      { remedy: 'A newer release issued it: verify it with that one, or a later one.' },
    );
  }
  const where = parsed.error.issues.map(({ path }) => path.join('.') || 'the whole').join(', ');
  throw new CertificateError(
    'CERTIFICATE_INVALID',
    `It is not of the form of a certificate of version 1: ${where}`,
    { remedy: 'A later version of Keyturn may have issued it.' },
  );
}

/** By its own number, or by members that this one does not know and nothing else. */
function isOfNewerRelease(content: unknown, { issues }: z.ZodError): boolean {
  const numbered = z.looseObject({ certificateVersion: z.int().min(2) });
  return numbered.safeParse(content).success || issues.every(({ code }) => code === 'unrecognized_keys');
}

async function signedContent(jws: string, keys: readonly JWK[]): Promise<unknown> {
  try {
    return await verifyJws(jws, CERTIFICATE_TYPE, keys);
  } catch (error) {
    if (!(error instanceof SigningError) || error.code !== 'SIGNING_KEY_NOT_FOUND') throw error;
    throw new CertificateError('CERTIFICATE_INVALID', error.message, {
      cause: error,
      remedy: '`keyturn certificate key` of the stack that issued it prints its public key.',
    });
  }
}

function signedBy(jws: string): string {
  const { kid, alg } = decodeProtectedHeader(jws);
  return `${kid} (${alg})`;
}

function unreported({ rotations }: Certificate): string[] {
  return rotations.flatMap(({ jobId, records: { remaining } }) =>
    remaining === 0
      ? []
      : [
          `What became of ${remaining} records of rotation ${jobId}, which did not report on them: its census decided`,
        ],
  );
}

type ApprovalFindings = Pick<CertificateReport, 'verified' | 'problems' | 'notVerified'>;

async function verifyApprovals(
  { approvals: { required, request, given } }: Certificate,
  approvers: ApprovalsConfig['approvers'] | null,
): Promise<ApprovalFindings> {
  if (request === null) {
    const says = 'That any person agreed: it says that no approvals were required';
    return { verified: [], problems: [], notVerified: [says] };
  }
  if (approvers === null) {
    const says = "The approvers' own signatures: there is no configuration here that pins their keys";
    return { verified: [], problems: [], notVerified: [says] };
  }
  const verified: string[] = [];
  const problems: string[] = [];
  for (const { jws, ...approval } of given) {
    const { approver } = approval;
    const pinned = Object.hasOwn(approvers, approver) ? approvers[approver] : undefined;
    const why =
      pinned === undefined
        ? 'is no approver of this configuration'
        : await whyNotSigned(jws, pinned.publicKey, statementOf(request, approval));
    if (why === null) verified.push(`The approval of ${approver}, by the key that the configuration pins`);
    else problems.push(`${approver} ${why}`);
  }
  if (verified.length < required) {
    problems.push(
      `${verified.length} approvals verify, and ${required} were required; give the configuration of that time with --config`,
    );
  }
  return { verified, problems, notVerified: [] };
}

/** Null: it is the approver's signature on exactly this. */
async function whyNotSigned(jws: string, key: JWK, statement: object): Promise<string | null> {
  try {
    const signed = await verifyJws(jws, APPROVAL_TYPE, [key]);
    return isSameStatement(signed, statement) ? null : 'signed something else';
  } catch (error) {
    if (!(error instanceof SigningError)) throw error;
    return error.code === 'SIGNING_KEY_NOT_FOUND'
      ? 'signed with another key than the configuration pins'
      : 'did not sign it: the signature is not valid';
  }
}
