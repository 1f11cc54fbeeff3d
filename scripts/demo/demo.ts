import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { type Stack, startStack } from '../../local/stack.ts';
import { removeStackInfo, writeStackInfo } from '../../local/stack-info.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { createConfiguredKeyring } from '../../shared/deps/compose.ts';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { ConfigError } from '../../shared/errors/errors.ts';
import { silentLog } from '../../shared/log/log.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { createLocalSigner, createSigningKey } from '../../shared/signing/local-signer.ts';
import type { Signer } from '../../shared/signing/signer.ts';
import { CliError } from '../cli/cli-error.ts';
import { count, counted, duration } from '../cli/format.ts';
import { createOutput, type Output } from '../cli/output.ts';
import { createProgressView } from '../cli/progress-view.ts';
import { type Application, createApplication } from './application.ts';
import { CREATE_TABLE, FIELDS, PURPOSE, RECORD_SET, tenantName } from './records.ts';
import {
  type Approvers,
  type AuditReport,
  approvePurges,
  type PurgeReport,
  type RotationReport,
  rotateAll,
  verifyAudit,
  waitForPurges,
} from './rotate-all.ts';
import { makeTemporaryFolder, writeStackFolder } from './stack-folder.ts';

/** The main job from end to end, on data of its own, in one command. */

export interface DemoOptions {
  readonly records: number;
  readonly tenants: number;
  readonly json: boolean;
  /** Keep the data in this folder; default: a temporary one that is removed. */
  readonly keep?: string;
}

/** Seconds instead of the days of real life. Never for real data: see docs/configuration.md. */
const TIMES = {
  cacheMaxAgeSeconds: 1,
  clockSkewSeconds: 0,
  maxTransactionSeconds: 1,
  graceSeconds: 2,
  backupRetentionSeconds: 0,
  soakSeconds: 2,
  acceptShortGrace: true,
};

const DATABASE = 'demo';
const APPROVERS = ['alice', 'bob'];
const READERS = 2;
const WRITERS = 1;

/** 0: everything was found again. 4: something was lost or left. 130: stopped by Ctrl-C. */
export async function runDemo(options: DemoOptions): Promise<number> {
  if (options.records < options.tenants || options.tenants < 1) {
    throw new ConfigError(
      'CONFIG_INVALID',
      `${options.records} records cannot belong to ${options.tenants} tenants`,
      {
        remedy: 'Give at least one tenant, and at least as many records as tenants.',
      },
    );
  }
  const out = createOutput(process, options.json);
  const abort = new AbortController();
  const interrupt = () => abort.abort();
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const dir = await makeFolder(options.keep);
  try {
    return await runIn(dir, options, out, abort.signal);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    out.warn('stopped by Ctrl-C; the embedded stack is stopped too');
    return 130;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    if (options.keep === undefined) await rm(dir, { recursive: true, force: true });
  }
}

async function runIn(dir: string, options: DemoOptions, out: Output, signal: AbortSignal): Promise<number> {
  const began = performance.now();
  const { records, tenants } = options;
  out.line(out.paint('bold', `Keyturn demo: ${counted(records, 'record')} of ${counted(tenants, 'tenant')}`));
  out.line('A PostgreSQL, a DynamoDB, an SQS and a Step Functions of its own; nothing of yours is touched.');
  out.line();
  const approvers = await makeApprovers(dir);
  const stack = await step(out, '1  Start the embedded stack', () => start(dir, approvers));
  const pool = new pg.Pool({ connectionString: stack.postgres?.url(DATABASE), max: 6 });
  // Stopping the server ends the connections that idle here.
  pool.on('error', () => undefined);
  let application: Application | undefined;
  try {
    const keyring = createConfiguredKeyring(stack.deps);
    application = createApplication({ pool, keyring, records, tenants, random: Math.random });
    const running = application;
    await step(out, `2  Encrypt ${counted(records * FIELDS.length, 'field')} under version 1`, async () => {
      await pool.query(CREATE_TABLE);
      for (let i = 0; i < tenants; i++) await createKey(stack.deps, tenantName(i), PURPOSE);
      await running.insert(signal);
    });
    out.line(
      `3  Run an application on it: ${READERS} readers, ${WRITERS} writer, each checking what it reads`,
    );
    application.start(READERS, WRITERS);
    out.line('4  Rotate the key of every tenant');
    const view = createProgressView(out);
    const rotation = await rotateAll(stack.deps, tenants, view, signal);
    for (const line of rotation.lines) out.line(`     ${line}`);
    const approvals = await step(
      out,
      '5  Wait for the grace to end, fence version 1, rehearse, count every row, get two approvals',
      () => approvePurges(stack.deps, rotation.keys, approvers, signal),
    );
    for (const line of approvals) out.line(`     ${line}`);
    const purge = await step(out, '6  Count again, destroy version 1, certify it', () =>
      waitForPurges(stack.deps, rotation.keys, signal),
    );
    for (const line of purge.lines) out.line(`     ${line}`);
    await application.stop();
    const audit = await step(out, '7  Export the audit chains, and verify them against their archive', () =>
      verifyAudit(stack.deps),
    );
    for (const line of audit.lines) out.line(`     ${line}`);
    const verified = await step(out, '8  Open every value and compare it with what was written', () =>
      running.verify(signal),
    );
    const report = summarize(
      rotation,
      purge,
      audit,
      running,
      verified,
      (performance.now() - began) / 1000,
      options,
    );
    printReport(out, report, options.keep);
    out.result(report);
    return report.ok ? 0 : 4;
  } finally {
    await application?.stop();
    await pool.end();
    await stack.stop();
    await removeStackInfo(join(dir, '.keyturn'));
  }
}

async function makeFolder(keep: string | undefined): Promise<string> {
  if (keep === undefined) return makeTemporaryFolder('demo');
  const dir = resolve(keep);
  await mkdir(dir, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST' && error.code !== 'ENOTDIR') throw error;
    throw new CliError('INPUT_INVALID', `--keep: ${keep} is a file, or in one, and no folder`, {
      cause: error,
      remedy: 'Give --keep a new or empty folder.',
    });
  });
  if ((await readdir(dir)).length > 0) {
    throw new ConfigError('CONFIG_INVALID', `${keep} is not empty`, {
      remedy: 'Give --keep a new or empty folder.',
    });
  }
  return dir;
}

/** What `keyturn approvers create` does, for each of two people. */
async function makeApprovers(dir: string): Promise<Approvers> {
  const approvers = new Map<string, Signer>();
  for (const name of APPROVERS) {
    const keyFile = join(dir, `${name}.key`);
    await createSigningKey({ keyFile, random: fillRandom });
    approvers.set(name, createLocalSigner({ keyFile }));
  }
  return approvers;
}

/** As the configuration pins it. */
async function pinnedKey(signer: Signer): Promise<object> {
  const { kty, crv, x } = await signer.publicKey();
  return { publicKey: { kty, crv, x } };
}

async function start(dir: string, people: Approvers): Promise<Stack> {
  const approvers: Record<string, object> = {};
  for (const [name, signer] of people) approvers[name] = await pinnedKey(signer);
  const config = {
    approvals: { required: people.size, approvers },
    stores: { main: { type: 'postgres', embedded: DATABASE, tls: 'off' } },
    recordSets: {
      [RECORD_SET]: {
        store: 'main',
        table: 'clients',
        key: ['id'],
        tenant: { column: 'practice' },
        purpose: PURPOSE,
        fields: FIELDS.map((name) => ({ name, column: `${name}_enc`, sensitivity: 'high' })),
      },
    },
    rotation: TIMES,
  };
  const configPath = await writeStackFolder(dir, config);
  const stack = await startStack({
    dir: join(dir, '.keyturn'),
    loaded: await loadConfig(configPath),
    environment: {},
    log: silentLog,
    sweepSeconds: 1,
  });
  await writeStackInfo(join(dir, '.keyturn'), stack.info);
  return stack;
}

async function step<T>(out: Output, title: string, run: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await run();
  out.line(`${title}  ${out.paint('dim', duration((performance.now() - began) / 1000))}`);
  return result;
}

type Report = ReturnType<typeof summarize>;

function summarize(
  rotation: RotationReport,
  purge: PurgeReport,
  audit: AuditReport,
  application: Application,
  verified: { readonly opened: number; readonly mismatches: number },
  seconds: number,
  { records, tenants }: DemoOptions,
) {
  const { rewrapped, skipped, quarantined, remaining, stale } = rotation;
  const mismatches = verified.mismatches + application.mismatches;
  const failures = Object.fromEntries(application.failures);
  return {
    records,
    tenants,
    rewrapped,
    skipped,
    quarantined,
    remaining,
    stale,
    opened: verified.opened,
    mismatches,
    reads: application.reads,
    writes: application.writes,
    failures,
    purged: purge.purged,
    certified: purge.certified,
    auditEntries: audit.entries,
    auditFindings: audit.findings,
    seconds: round(seconds),
    rotationSeconds: round(rotation.seconds),
    recordsPerSecond: Math.round(rewrapped / rotation.sweepSeconds),
    ok:
      mismatches === 0 &&
      remaining === 0 &&
      stale === 0 &&
      quarantined === 0 &&
      verified.opened === records * FIELDS.length &&
      purge.purged === tenants &&
      purge.certified === tenants &&
      audit.entries > 0 &&
      audit.findings === 0 &&
      Object.keys(failures).length === 0,
  };
}

function round(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}

function printReport(out: Output, report: Report, keep: string | undefined): void {
  out.line();
  out.line(
    report.ok
      ? out.paint('green', 'Nothing was lost.')
      : out.paint('red', 'Something was lost or left behind. This is a bug: please report it.'),
  );
  const lines = [
    [
      'records rewrapped',
      `${count(report.rewrapped)} (${count(report.recordsPerSecond)}/s beside the application)`,
    ],
    ['written by the application meanwhile', `${count(report.skipped)} found current, left alone`],
    ['quarantined, remaining', `${report.quarantined}, ${report.remaining}`],
    ['read and written meanwhile', `${count(report.reads)} reads, ${count(report.writes)} writes`],
    ['values opened at the end', `${count(report.opened)}, ${report.mismatches} mismatches`],
    [
      'versions purged, certificates verified',
      `${report.purged} of ${report.tenants}, ${report.certified} of ${report.tenants}`,
    ],
    ['audit entries, findings', `${count(report.auditEntries)}, ${report.auditFindings}`],
    ['time', `${duration(report.rotationSeconds)} for the rotations, ${duration(report.seconds)} in all`],
  ];
  for (const [name, value] of lines) out.line(`  ${(name ?? '').padEnd(42)}${value}`);
  for (const [code, times] of Object.entries(report.failures)) {
    out.line(out.paint('red', `  the application failed with ${code}: ${times} times`));
  }
  out.line();
  out.line(
    keep === undefined
      ? 'The stack is stopped and its folder removed. Next: docs/tutorial.md, on a database of your own.'
      : `The data are in ${keep}: cd there, run \`keyturn local start\` and look around.`,
  );
}
