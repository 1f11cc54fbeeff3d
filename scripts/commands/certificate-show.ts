import { z } from 'zod';
import { readCertificate, verifyCertificate } from '../../shared/certificates/verify-certificate.ts';
import { CertificateError } from '../../shared/errors/errors.ts';
import { versionOf } from '../../shared/keyring/change-version.ts';
import { getKey } from '../../shared/rotation/change.ts';
import { certificatePage } from '../cli/certificate-words.ts';
import { defineCommand, option, PURPOSE, required, TENANT, wholeNumber } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { shownError } from '../cli/failures.ts';
import { keyName } from '../cli/job-words.ts';

export const certificateShow = defineCommand({
  name: 'certificate show',
  summary: 'Show the retirement certificate of a destroyed version',
  details:
    'Prints what the certificate says, in words: what became of the version and from when on, its life, the rotation that\n' +
    'brought the records away from it with counts that sum, the last census with what it read and what not, and who\n' +
    "approved. With --jws only the certificate itself, as it was signed: a JWS that any library verifies with the stack's\n" +
    'public key. Ends with exit code 4 where the signature is not of the key that the stack signs with now.',
  json: '{jws, valid, problems: [text], certificate: {certificateVersion, issuedAt, tenant, purpose, keyId, version, kept, times, rotations, purge, soakSeconds, census, restoreEpoch, holds, approvals, destroyed}}',
  options: [
    required(TENANT, 'Whose key'),
    required('--version <number>', 'The version that was destroyed').argParser(wholeNumber),
    PURPOSE(),
    option('--jws', 'Only the JWS, to be kept or handed on'),
  ],
  examples: [
    { line: 'keyturn certificate show --tenant acme --version 1', says: 'to read it' },
    {
      line: 'keyturn certificate show --tenant acme --version 1 --jws > acme-1.jws',
      says: 'for the auditor',
    },
  ],
  input: z.object({
    tenant: z.string(),
    version: z.number(),
    purpose: z.string(),
    jws: z.boolean().default(false),
  }),
  run: ({ tenant, version, purpose, jws: only }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const key = await getKey(deps, tenant, purpose);
      const stored = await deps.ledger.getCertificate(key.keyId, version);
      if (stored === null) {
        const { state } = versionOf(key, version);
        throw new CertificateError(
          'CERTIFICATE_NOT_FOUND',
          `Version ${version} of ${keyName(key)} is ${state} and has no certificate`,
          { remedy: 'A purge issues it when it has destroyed the version.' },
        );
      }
      const { jws } = stored;
      const problems = await verifyCertificate(
        jws,
        [await deps.signer.publicKey()],
        deps.config.approvals.approvers,
      ).then(
        (report) => report.problems,
        (error: unknown) => [shownError(error).message],
      );
      if (only) out.line(jws);
      else {
        for (const line of certificatePage(readCertificate(jws))) out.line(line);
        for (const problem of problems) out.line(out.paint('red', `Not valid: ${problem}`));
      }
      const valid = problems.length === 0;
      out.result({ jws, valid, problems, certificate: readCertificate(jws) });
      return valid ? EXIT_CODES.done.code : EXIT_CODES.refused.code;
    }),
});
