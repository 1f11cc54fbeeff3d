import { stat } from 'node:fs/promises';
import { createLocalClients, readStackInfo, type StackInfo } from '../../local/stack-info.ts';
import { systemClock } from '../../shared/clock/system.ts';
import { type LoadedConfig, loadConfig } from '../../shared/config/load.ts';
import type { Config } from '../../shared/config/schema.ts';
import { openProvider } from '../../shared/deps/compose.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { STATE_MACHINES } from '../../shared/executions/executions.ts';
import { createKmsClients } from '../../shared/providers/aws-kms/client.ts';
import { columnsFinding } from './columns-finding.ts';
import type { Cli } from './command.ts';
import { shownError } from './failures.ts';
import { checkFence, keyWords, selectFences } from './fences.ts';
import { count, counted } from './format.ts';
import { readQueueDepth } from './queue-depth.ts';
import { findConfig, notRunning, openSession, stackFolder, usesAws } from './session.ts';
import { tellingOf, unverifiedWarning } from './unverified.ts';

/** What `keyturn doctor` looks at, in order. None stops the others. */

export type CheckStatus = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Check {
  readonly name: string;
  readonly status: CheckStatus;
  readonly message: string;
  readonly remedy: string | null;
}

export type Finding =
  | string
  | { readonly warning: string; readonly remedy: string }
  | { readonly failed: string; readonly remedy: string };
export type Report = (check: Check) => void;

const NEEDED_NODE = 24;

export async function runChecks(cli: Cli, report: Report): Promise<void> {
  const check = checker(report);
  await check('Node', async () => {
    if (Number.parseInt(process.versions.node, 10) >= NEEDED_NODE) return process.versions.node;
    return {
      failed: `is ${process.versions.node}, and must be ${NEEDED_NODE} or later`,
      remedy: 'In the checkout `npx keyturn` and `npm run keyturn` bring the right one along.',
    };
  });
  const loaded = await check('configuration', async () => {
    const found = await loadConfig(await findConfig(cli));
    return { value: found, says: found.path };
  });
  if (loaded === undefined) return skip(report, 'keystore, stack, stores', 'they need the configuration');
  await check('keystore', async () => {
    const { provider: configured } = loaded.config;
    const kmsClients = createKmsClients();
    try {
      const { environment } = cli;
      const parts = { environment, random: fillRandom, clock: systemClock, kmsClients };
      await (await openProvider(configured, parts)).check();
    } finally {
      kmsClients.destroy();
    }
    return configured.type === 'local'
      ? `${configured.keystore} opens, and nobody else can read it`
      : 'AWS KMS answers, and every root key that wraps new KEKs can be used';
  });
  await check('timing', async () => timing(loaded.config));
  await check('approvals', async () => approving(loaded.config));
  await checkPlace(cli, loaded, check, report);
}

async function checkPlace(cli: Cli, loaded: LoadedConfig, check: Checker, report: Report): Promise<void> {
  const dir = stackFolder(cli, loaded.path);
  const stack = await readStackInfo(dir);
  await check('stack', async () => {
    if (stack !== null) return stackFinding(stack, loaded);
    if (usesAws(cli.environment)) return 'not used: KEYTURN_LEDGER_TABLE names a ledger in AWS';
    throw notRunning(dir);
  });
  const nowhere = stack === null && !usesAws(cli.environment);
  const session = nowhere
    ? undefined
    : await check('connection', async () => {
        const opened = await openSession(cli);
        return { value: opened, says: 'provider, clients and databases are set up' };
      });
  if (session === undefined) {
    return skip(report, 'ledger, queue, state machines, record sets', 'they need a running stack');
  }
  const { deps } = session;
  try {
    await check('state key', async () => {
      const made = await deps.state.check();
      return made ? 'its root key opens it' : 'made with the first key';
    });
    await check('ledger', () => ledgerFinding(deps));
    const queueUrl = stack?.queueUrl ?? cli.environment['KEYTURN_QUEUE_URL'];
    await check('queue', () => queueFinding(stack, queueUrl));
    await check('state machines', async () => {
      for (const machine of STATE_MACHINES) await deps.executions.isRunning(machine, 'doctor');
      return STATE_MACHINES.join(', ');
    });
    await check('clock', () => clockFinding(stack?.endpoints.sqs ?? queueUrl, deps));
    if (deps.recordSets.names.length === 0)
      skip(report, 'record sets', 'none is declared in the configuration');
    for (const name of deps.recordSets.names) {
      const reachable = await check(`record set ${name}`, async () => {
        await deps.recordSets.store(name).check();
        const { table, store } = deps.recordSets.config(name);
        const isDynamoDb = deps.config.stores[store]?.type === 'dynamodb';
        const parts = isDynamoDb ? 'its key, index and rights' : 'columns, types and rights';
        return { value: isDynamoDb, says: `table ${table}, ${parts}` };
      });
      // DynamoDB tells a table's tenants only to who reads, and pays for, every item of it.
      if (reachable === false) await check(`keys of ${name}`, () => keysFinding(deps, name));
      if (reachable === false) await check(`fence of ${name}`, () => fenceFinding(deps, name));
    }
    for (const store of deps.recordSets.stores) {
      // A search of DynamoDB reads, and pays for, every item: `census --completeness` does it.
      if (deps.config.stores[store]?.type === 'dynamodb') continue;
      await check(`columns of ${store}`, () => columnsFinding(deps, store));
    }
  } finally {
    await deps.close();
  }
}

async function ledgerFinding({ ledger }: Deps): Promise<Finding> {
  await ledger.check();
  const left = new Set<string>();
  const lists = tellingOf(ledger, left);
  const keys = await lists.listKeys();
  await lists.listJobs();
  const failed = unverifiedWarning(left);
  const remedy = 'Somebody else can write the ledger: docs/runbook.md says what to do.';
  return failed === null ? counted(keys.length, 'key') : { failed, remedy };
}

type Checker = <T>(
  name: string,
  look: () => Promise<Finding | { readonly value: T; readonly says: string }>,
) => Promise<T | undefined>;

function checker(report: Report): Checker {
  return async (name, look) => {
    try {
      const found = await look();
      if (typeof found === 'string') report({ name, status: 'ok', message: found, remedy: null });
      else if ('warning' in found) {
        report({ name, status: 'warning', message: found.warning, remedy: found.remedy });
      } else if ('failed' in found) {
        report({ name, status: 'failed', message: found.failed, remedy: found.remedy });
      } else {
        report({ name, status: 'ok', message: found.says, remedy: null });
        return found.value;
      }
    } catch (error) {
      const { code, message, remedy } = shownError(error);
      report({ name, status: 'failed', message: `${code}: ${message}`, remedy });
    }
    return undefined;
  };
}

function skip(report: Report, name: string, why: string): void {
  report({ name, status: 'skipped', message: why, remedy: null });
}

function timing({ rotation }: Config): Finding {
  if (!rotation.acceptShortGrace)
    return `grace ${count(rotation.graceSeconds)} s, barrier settings within it`;
  return {
    warning: `acceptShortGrace is on: a version may be destroyed after ${count(rotation.graceSeconds)} s while backups or queued messages still need it`,
    remedy: 'For real data remove acceptShortGrace and graceSeconds.',
  };
}

function approving({ approvals: { required, approvers } }: Config): Finding {
  const names = Object.keys(approvers);
  if (required === 0) {
    return {
      warning: 'acceptNoApprovals is on: versions are destroyed without anybody agreeing',
      remedy: 'For real data name approvers: `keyturn approvers create` makes their keys.',
    };
  }
  if (names.length > 0) return `${required} of ${names.length} approvers must agree to a purge`;
  return {
    warning: 'nobody may approve a purge, so that no version is ever destroyed',
    remedy: 'Name approvers: `keyturn approvers create` makes their keys.',
  };
}

async function stackFinding(stack: StackInfo, loaded: LoadedConfig): Promise<Finding> {
  const restart = 'Take it over with `keyturn local stop` and `keyturn local start`.';
  if (stack.config !== loaded.path) {
    return { warning: `it runs with another configuration, ${stack.config}`, remedy: restart };
  }
  const changed = (await stat(loaded.path)).mtimeMs > Date.parse(stack.startedAt);
  if (changed) return { warning: 'the configuration changed after its start', remedy: restart };
  return `runs since ${stack.startedAt} (pid ${stack.pid})`;
}

async function queueFinding(stack: StackInfo | null, queueUrl: string | undefined): Promise<Finding> {
  // In AWS the composition was refused without it; the SDK's own variables say the rest.
  if (stack === null || queueUrl === undefined) return 'its URL is set';
  const clients = createLocalClients(stack.endpoints);
  try {
    const { waiting, inFlight } = await readQueueDepth(clients.sqs, queueUrl);
    const dead = await readQueueDepth(clients.sqs, stack.deadLetterQueueUrl);
    if (dead.waiting + dead.inFlight > 0) {
      return {
        warning: `${counted(dead.waiting + dead.inFlight, 'message')} in the dead-letter queue`,
        remedy:
          'Their records stay on the old version until a sweep finds them again; the log says why they failed.',
      };
    }
    const events = stack.eventDeadLetterQueueUrl;
    const unhandled = events === null ? 0 : (await readQueueDepth(clients.sqs, events)).waiting;
    if (unhandled > 0) {
      return {
        warning: `${counted(unhandled, 'event')} that no function could handle`,
        remedy: 'docs/events.md says what a request must be like; the log names the fields at fault.',
      };
    }
    return `${count(waiting)} waiting, ${count(inFlight)} being worked on`;
  } finally {
    for (const client of Object.values(clients)) client.destroy();
  }
}

/** Compares with the clock of the queue's server, in AWS another machine. */
async function clockFinding(url: string | undefined, deps: Deps): Promise<Finding> {
  if (url === undefined) return 'not compared';
  const signal = AbortSignal.timeout(5_000);
  const reply = await fetch(new URL(url).origin, { signal }).catch(() => null);
  if (reply === null) {
    return { warning: `not compared: ${new URL(url).host} does not answer`, remedy: 'See the queue above.' };
  }
  await reply.body?.cancel();
  const theirs = Date.parse(reply.headers.get('date') ?? '');
  if (Number.isNaN(theirs)) return 'the queue does not tell the time; not compared';
  // An HTTP date has whole seconds.
  const skew = Math.ceil(Math.max(0, Math.abs(theirs - deps.clock.now()) - 1000) / 1000);
  const allowed = deps.config.rotation.clockSkewSeconds;
  if (skew <= allowed) return `${skew} s from the queue's, within clockSkewSeconds (${allowed})`;
  return {
    failed: `is ${skew} s from the queue's clock, more than clockSkewSeconds (${allowed})`,
    remedy: 'Set the clock, by NTP for example; or raise rotation.clockSkewSeconds.',
  };
}

async function fenceFinding(deps: Deps, recordSet: string): Promise<Finding> {
  const [set] = selectFences(deps, recordSet);
  if (set === undefined) return 'none';
  const finding = await checkFence(deps, set, await deps.ledger.listKeys());
  if (finding.status === 'not installed')
    return 'none is installed; the propagation barrier alone holds writers off';
  if (finding.status === 'holds') return `holds, ${keyWords(finding)}`;
  return {
    failed: finding.problems.join('; '),
    remedy: `\`keyturn fence install --record-set ${recordSet}\` mends it.`,
  };
}

async function keysFinding(deps: Deps, recordSet: string): Promise<Finding> {
  const { purpose } = deps.recordSets.config(recordSet);
  const tenants = await deps.recordSets.store(recordSet).tenants();
  const keys = await deps.ledger.listKeys();
  const owners = new Set(
    keys.filter((key) => key.purpose === purpose && key.active > 0).map(({ tenant }) => tenant),
  );
  const without = tenants.filter((tenant) => !owners.has(tenant));
  if (without.length === 0) return `${counted(tenants.length, 'tenant')}, each with an active key`;
  const names = without.slice(0, 3).map((tenant) => `"${tenant}"`);
  const more = without.length > names.length ? ` and ${count(without.length - names.length)} more` : '';
  return {
    warning: `no key for the purpose "${purpose}": ${names.join(', ')}${more}`,
    remedy: `Make them with \`keyturn adopt --record-set ${recordSet}\` or \`keyturn keys create\`.`,
  };
}
