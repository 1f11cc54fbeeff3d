import { resolve } from 'node:path';
import { z } from 'zod';
import type { ApprovalRequest } from '../../shared/approvals/approval.ts';
import { approve as approveRequest, checkMayApprove, requirePinned } from '../../shared/approvals/approve.ts';
import { resumeIfDecided } from '../../shared/approvals/resume-approved.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { createKmsClients } from '../../shared/providers/aws-kms/client.ts';
import { regionOf } from '../../shared/providers/aws-kms/key-arn.ts';
import { getJob } from '../../shared/rotation/change.ts';
import { purgeJobId } from '../../shared/rotation/job-id.ts';
import { createKmsSigner } from '../../shared/signing/kms-signer.ts';
import { createLocalSigner } from '../../shared/signing/local-signer.ts';
import type { Signer } from '../../shared/signing/signer.ts';
import {
  approvalLines,
  approveCommand,
  readStanding,
  requestLines,
  standingJson,
} from '../cli/approval-words.ts';
import { CliError } from '../cli/cli-error.ts';
import { defineCommand, NO_WAIT, option, required, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { asKeyturnError } from '../cli/failures.ts';
import { exitCodeOfJobs, follow } from '../cli/follow.ts';
import { jobJson, keyOptions } from '../cli/job-words.ts';
import { printPurge } from '../cli/purge-words.ts';

export const approve = defineCommand({
  name: 'approve',
  summary: 'Approve what a request asks for, with your own key',
  details:
    'Verifies the request, prints what exactly would happen, and signs that and nothing else: with the key file that\n' +
    '`keyturn approvers create` made, or, where the configuration names a kmsKey for you, with that key under your own IAM\n' +
    'credentials. Nobody approves what they asked for, or twice. With the last approval a purge goes on, verifies\n' +
    'everything anew and is followed to its end. On a terminal it asks first, unless --yes. Once it is given the approval\n' +
    'stands: where what follows fails, that is said (APPROVAL_STANDS), and the daily sweep takes the purge up.',
  json: '{requestId, action, version, subject, evidence, expiresAt, status, required, approved, approvals: [{approver, at, breakGlass, verified}], job}',
  arguments: [{ name: '<request>', description: 'Its id: `keyturn approvals list`' }],
  options: [
    required('--as <name>', 'Your name under approvals.approvers in the configuration'),
    option('--key-file <file>', 'Your key file; left out: your kmsKey of the configuration'),
    NO_WAIT(),
    YES(),
  ],
  examples: [
    {
      line: 'keyturn approve fb1wZRwO8OjmBFcaRy2V6O1MxMrubkUrLtdTaaOHiwU --as alice --key-file alice.key',
      says: 'on one machine',
    },
    {
      line: 'keyturn approve fb1wZRwO8OjmBFcaRy2V6O1MxMrubkUrLtdTaaOHiwU --as alice',
      says: "in AWS, with alice's KMS key",
    },
  ],
  input: z.object({
    request: z.string(),
    as: z.string(),
    keyFile: z.string().optional(),
    wait: z.boolean(),
    yes: z.boolean().default(false),
  }),
  asks: ({ request, as }) => ({ requestId: request, approver: as }),
  run: ({ request: requestId, as, keyFile, wait, yes }, { out, cwd, withSession }) =>
    withSession(async ({ deps }) => {
      const { request } = await checkMayApprove(deps, requestId, as);
      const path = keyFile === undefined ? undefined : resolve(cwd, keyFile);
      const { signer, close } = openSigner(deps, as, path);
      try {
        await requirePinned(deps, as, signer);
        for (const line of requestLines(request)) out.line(line);
        await confirm(out, `${as} approves this.`, yes);
        await approveRequest(deps, requestId, as, signer);
      } finally {
        close();
      }
      const stands = <T>(failed: string, work: () => Promise<T>) =>
        tellingThatItStands(request, as, failed, work);
      const standing = await stands('how the request stands could not be read', () =>
        readStanding(deps, requestId),
      );
      const { check } = standing;
      for (const line of approvalLines(standing)) out.line(line);
      if (!check.approved || request.action !== 'purge') {
        out.line(
          check.approved
            ? 'Nothing more is needed: whoever asked repeats their command.'
            : `  next     ${approveCommand(requestId)}`,
        );
        out.result({ ...standingJson(standing), job: null });
        return EXIT_CODES.done.code;
      }
      const job = await stands('the purge was not taken up', async () =>
        resumeIfDecided(deps, await getJob(deps, purgeJobId(request.keyId, request.version)), false),
      );
      return stands('the purge could not be followed', async () => {
        const [followed] = await follow(deps, out, [{ answer: 'resumed', job }], wait);
        const ended = followed?.job ?? job;
        await printPurge(deps, out, ended, { already: false });
        out.result({ ...standingJson(standing), job: jobJson(ended, null) });
        return exitCodeOfJobs([ended]);
      });
    }),
});

/** What follows an approval. Whatever becomes of it, the approval stands: so it is no refusal, and is told apart. */
async function tellingThatItStands<T>(
  request: ApprovalRequest,
  approver: string,
  failed: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message, remedy } = asKeyturnError(error);
    if (code === 'INTERRUPTED') throw error;
    const next =
      request.action === 'purge'
        ? `An approved purge is taken up by the daily sweep, or at once when whoever asked repeats \`keyturn purge ${keyOptions(request)} --version ${request.version}\`.`
        : '';
    const look = `\`keyturn approvals show ${request.requestId}\` shows how it stands.`;
    throw new CliError(
      'APPROVAL_STANDS',
      `The approval of ${approver} stands, but ${failed}: ${code}: ${message}`,
      { cause: error, remedy: [remedy, next, look].filter(Boolean).join(' ') },
    );
  }
}

interface OpenSigner {
  readonly signer: Signer;
  close(): void;
}

function openSigner({ config }: Deps, name: string, keyFile: string | undefined): OpenSigner {
  if (keyFile !== undefined) return { signer: createLocalSigner({ keyFile }), close: () => {} };
  const keyArn = config.approvals.approvers[name]?.kmsKey;
  if (keyArn === undefined) {
    throw new CliError('USAGE', `${name} has no kmsKey in the configuration, and no --key-file was given`, {
      remedy: 'Name the key file that `keyturn approvers create` made with --key-file.',
    });
  }
  const clients = createKmsClients();
  const signer = createKmsSigner({ client: clients.of(regionOf(keyArn)), keyArn });
  return { signer, close: () => clients.destroy() };
}
