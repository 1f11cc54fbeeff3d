import { resolve } from 'node:path';
import type { JWK } from 'jose';
import { z } from 'zod';
import type { AuditArchive } from '../../shared/audit/archive.ts';
import { createFileArchive } from '../../shared/audit/file-archive.ts';
import { openArchive } from '../../shared/audit/open-archive.ts';
import { verifyArchives, verifyChains } from '../../shared/audit/verify-all.ts';
import type { VerifyReport } from '../../shared/audit/verify-chain.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { unreadLines, verifyLines } from '../cli/audit-words.ts';
import { CliError } from '../cli/cli-error.ts';
import { type Cli, defineCommand, option, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { counted } from '../cli/format.ts';
import type { Output } from '../cli/output.ts';
import { readPublicKeys } from '../cli/public-keys.ts';
import { findConfig } from '../cli/session.ts';

export const auditVerify = defineCommand({
  name: 'audit verify',
  summary: 'Look for anything that was changed in the audit chains',
  details:
    "Recomputes every hash of a tenant's chain and compares it with the archive, with the signed anchors in it, and with what\n" +
    'it tells of: keys and their holds, jobs, restores, requests for approval, approvals, voids, certificates and censuses.\n' +
    'Names each finding with its place: FORGED, EDITED, GAP, REORDERED, REPEATED, UNRECORDED, TAIL_CUT, REWRITTEN,\n' +
    'ANCHOR_INVALID, ANCHOR_MISSING, ROLLED_BACK, CHANGED, GONE. With --offline the archive alone is read, without a stack;\n' +
    'that needs --key, and cannot see an end that was cut off together with its anchors. What came since the last export can\n' +
    'only be compared with itself, its MACs, and what it tells of. Ends with exit code 4 when anything is found, and with 3\n' +
    'when there was nothing to read: that proves nothing. Of a key that has more than 1,000 censuses it does not ask whether\n' +
    'the older ones have entries, and says so ("not looked at").',
  json: 'an array of {tenant, entries, archived, anchors, findings: [{code, tenant, where, sequence, message}], unread: [text]}',
  options: [
    option(TENANT, 'Only this tenant; otherwise all'),
    option('--offline', 'Read the archive alone, without a stack'),
    option(
      '--archive <folder>',
      'With --offline: a copy of the archive; otherwise the one that is configured',
    ),
    option('--key <file>', 'The public key, or set of keys, as `keyturn certificate key` prints it'),
  ],
  examples: [
    { line: 'keyturn audit verify', says: 'every tenant' },
    {
      line: 'keyturn audit verify --offline --archive copy/ --key signing.jwks.json',
      says: 'an auditor, with a copy of the archive',
    },
  ],
  input: z.object({
    tenant: z.string().optional(),
    offline: z.boolean().default(false),
    archive: z.string().optional(),
    key: z.string().optional(),
  }),
  run: async ({ tenant = null, offline, archive, key }, cli) => {
    const { out } = cli;
    const keys = key === undefined ? null : await readPublicKeys(key);
    if (offline) {
      const opened = await open(cli, archive);
      const code = await show(out, verifyArchives(opened, tenant, required(keys)), { tenant, opened });
      out.line(OFFLINE);
      return code;
    }
    if (archive !== undefined) throw usage('--archive goes with --offline');
    return cli.withSession(async ({ deps }) =>
      show(out, verifyChains(deps, tenant, keys ?? [await deps.signer.publicKey()]), {
        tenant,
        opened: deps.archive,
      }),
    );
  },
});

const OFFLINE =
  'Offline, an end that was cut off together with its anchors cannot be seen: compare how far each chain goes with the stack.';

async function open(cli: Cli, folder: string | undefined): Promise<AuditArchive> {
  if (folder !== undefined) return createFileArchive(resolve(cli.cwd, folder));
  const { config } = await loadConfig(await findConfig(cli));
  return openArchive(config, cli);
}

/** A key that the stack gives would be the word of whom the auditor does not trust. */
function required(keys: readonly JWK[] | null): readonly JWK[] {
  if (keys !== null) return keys;
  throw usage('--offline needs --key');
}

function usage(message: string): CliError {
  return new CliError('USAGE', message, { remedy: '`keyturn certificate key` prints the public key.' });
}

interface Asked {
  readonly tenant: string | null;
  readonly opened: AuditArchive;
}

async function show(out: Output, reports: AsyncGenerator<VerifyReport>, asked: Asked): Promise<number> {
  const all: VerifyReport[] = [];
  for await (const report of reports) {
    all.push(report);
    const [first = '', ...findings] = verifyLines(report);
    out.line(first);
    for (const line of findings) out.line(out.paint('red', line));
    for (const line of unreadLines(report)) out.line(out.paint('yellow', line));
  }
  if (all.every(isEmpty)) throw nothingRead(asked);
  const findings = all.reduce((sum, report) => sum + report.findings.length, 0);
  const read = counted(all.length, 'chain');
  out.line(
    findings === 0
      ? out.paint(
          'green',
          `${read} read: nothing was changed${all.some(isPartial) ? ' in what was looked at' : ''}.`,
        )
      : out.paint('red', `${read} read: ${counted(findings, 'finding')}. docs/runbook.md says what to do.`),
  );
  out.result(all);
  return findings === 0 ? EXIT_CODES.done.code : EXIT_CODES.refused.code;
}

function isPartial({ unread }: VerifyReport): boolean {
  return unread.length > 0;
}

function isEmpty({ entries, archived, anchors, findings }: VerifyReport): boolean {
  return (entries ?? 0) + archived + anchors + findings.length === 0;
}

/** No proof of anything: a wrong name and an archive that somebody deleted whole look like this. */
function nothingRead({ tenant, opened }: Asked): CliError {
  const whose = tenant === null ? '' : ` of the tenant ${JSON.stringify(tenant)}`;
  return new CliError(
    'AUDIT_NOT_FOUND',
    `There is no audit chain${whose} to verify; archive: ${opened.place}`,
    {
      remedy:
        'Nothing was read, so nothing is proved. Check the name, and the folder or the bucket and its prefix.',
    },
  );
}
