import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { ASSUMED_ITEM_BYTES } from '../../shared/pricing/predict-requests.ts';
import { PUBLIC_PRICES } from '../../shared/pricing/public-prices.ts';
import { type DryRun, type MeasuredRate, planDryRun } from '../../shared/rotation/dry-run.ts';
import type { CensusResult } from '../../shared/rotation/rotation.ts';
import { createCensusProgress } from './census-progress.ts';
import { censusReport } from './census-words.ts';
import { countKey } from './count-key.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { requestedBy } from './follow.ts';
import { count, counted, duration, table } from './format.ts';
import { keyName } from './job-words.ts';
import type { Output } from './output.ts';

/** `keyturn rotate --dry-run`: says what a rotation would do. Takes a census and keeps nothing of it. */

export interface DryRunReport {
  readonly census: CensusResult;
  readonly plan: DryRun;
}

export async function dryRun(
  deps: Deps,
  out: Output,
  key: TenantKey,
  recordsPerSecond?: number | null,
): Promise<DryRunReport> {
  const progress = createCensusProgress(out, `counting ${keyName(key)}`);
  try {
    const began = deps.clock.now();
    const census = await countKey(deps, key, {
      ...{ reach: 'tenant', search: false, takenBy: requestedBy() },
      onPart: (part) => progress.show(part),
    });
    const censusSeconds = Math.max(0, deps.clock.now() - began) / 1000;
    const options = { censusSeconds, ...(recordsPerSecond !== undefined && { recordsPerSecond }) };
    return { census, plan: await planDryRun(deps, key, census, options) };
  } finally {
    progress.stop();
  }
}

/** Something that stops the rotation itself is the refusal that a script must notice. */
export function exitCodeOfDryRun({ plan }: DryRunReport): number {
  const stopped = plan.obstacles.some(({ blocks }) => blocks === 'rotation');
  return stopped ? EXIT_CODES.refused.code : EXIT_CODES.done.code;
}

export function dryRunJson({ census, plan }: DryRunReport): object {
  return { ...plan, prices: plan.price.parts.map(({ price }) => PUBLIC_PRICES[price]), census };
}

export function printDryRun(out: Output, key: TenantKey, { census, plan }: DryRunReport): void {
  out.line(out.paint('bold', `Dry run: nothing was changed. A rotation of ${keyName(key)} now:`));
  // They were looked for, as one of the obstacles.
  const excluded = census.excluded.filter(({ why }) => why !== 'NOT_SEARCHED');
  for (const line of censusReport(key, { ...census, excluded })) out.line(line);
  out.line();
  const most = plan.loads.some(({ records, values }) => records !== values) ? 'at most ' : '';
  out.line(
    `  work      version ${plan.from} -> ${plan.to}: ${counted(plan.values, 'value')} in ${most}${counted(plan.records, 'record')} rewrapped, in ${counted(plan.requests.chunks, 'chunk')}`,
  );
  if (plan.unreadable > 0) out.line(`            ${counted(plan.unreadable, 'value')} set aside`);
  for (const [i, line] of requestLines(plan).entries())
    out.line(`  ${i === 0 ? 'requests' : '        '}  ${line}`);
  for (const [i, line] of priceLines(plan).entries())
    out.line(`  ${i === 0 ? 'price   ' : '        '}  ${line}`);
  for (const [i, line] of timeLines(plan).entries())
    out.line(`  ${i === 0 ? 'time    ' : '        '}  ${line}`);
  if (plan.obstacles.length === 0) out.line('  blockers  none is known now');
  for (const { blocks, code, message } of plan.obstacles) {
    const what = blocks === 'rotation' ? 'stops it' : 'stops the purge of the old version';
    out.line(out.paint(blocks === 'rotation' ? 'red' : 'yellow', `  blocker   ${code}, ${what}: ${message}`));
  }
}

/** Predicted, not counted: two digits say as much as there is. */
function about(value: number): string {
  return value < 100 ? count(value) : count(Number(value.toPrecision(2)));
}

function requestLines({ requests: r }: DryRun): string[] {
  const rows = [
    [
      'SQS',
      `${about(r.sqs.sendBatches)} SendMessageBatch of ${about(r.sqs.messages)} messages, ${about(r.sqs.receivesAndDeletes)} receives and deletes`,
    ],
    ['ledger', `${about(r.ledger.writes)} writes, ${about(r.ledger.reads)} reads`],
    [
      'Step Functions',
      `${counted(r.stepFunctions.executions, 'execution')}, ${about(r.stepFunctions.transitions)} transitions`,
    ],
    ['Lambda', `${about(r.lambda.calls)} calls`],
    ['KMS', `${r.kms.generate} GenerateDataKey, up to ${about(r.kms.decrypt)} Decrypt, however many records`],
  ];
  if (r.postgres.rowsUpdated > 0) {
    rows.push([
      'PostgreSQL',
      `${about(r.postgres.statements)} statements, ${about(r.postgres.rowsUpdated)} rows updated`,
    ]);
  }
  if (r.dynamodb.updates > 0) {
    rows.push([
      'DynamoDB',
      `${about(r.dynamodb.updates)} UpdateItem, ${about(r.dynamodb.batchGets)} BatchGetItem, ${about(r.dynamodb.queriesAndScans)} Query and Scan: ` +
        `${about(r.dynamodb.writeUnits)} write units, ${about(r.dynamodb.readUnits)} read units, for items of ${ASSUMED_ITEM_BYTES} bytes`,
    ]);
  }
  const { waitingLooks: n } = r;
  const looks = n > 0 ? `, with ${about(n)} ${n === 1 ? 'look' : 'looks'} while it waits` : '';
  return [...table(['service', `about${looks}`], rows)];
}

function priceLines({ price }: DryRun): string[] {
  const [any = PUBLIC_PRICES['sqs-request']] = price.parts.map((part) => PUBLIC_PRICES[part.price]);
  const sum = `about $${price.dollars === 0 ? '0' : dollars(price.dollars)}, by public prices of ${any.region} in ${any.date}, without free tiers and the database itself`;
  const rows = price.parts.map((part) => {
    const { unit, dollars: per, per: units, source } = PUBLIC_PRICES[part.price];
    return [
      `$${dollars(part.dollars)}`,
      `${about(Math.ceil(part.units))} x`,
      unit,
      `$${per} per ${count(units)}`,
      source,
    ];
  });
  return [sum, ...table(['about', '>units', 'unit', 'price', 'source'], rows)];
}

/** Two digits: an estimate is not exact to the cent. */
function dollars(value: number): string {
  return value >= 100 ? count(Number(value.toPrecision(2))) : String(Number(value.toPrecision(2)));
}

function timeLines({ time, records }: DryRun): string[] {
  const lines: string[] = [];
  lines.push(rateLine(time.rate));
  if (time.limit !== null)
    lines.push(`limited to ${count(time.limit)} records/s: at least ${duration(records / time.limit)}`);
  if (time.sweepSeconds !== null)
    lines.push(`sweep of ${count(records)} records: about ${duration(time.sweepSeconds)}`);
  lines.push(`propagation barrier: ${duration(time.barrierSeconds)} from the activation, while it sweeps`);
  lines.push(`census: about ${duration(time.censusSeconds)}, as long as this one took`);
  lines.push(
    time.seconds === null
      ? 'in all: not known'
      : `in all: about ${duration(time.seconds)} until the old version is retired`,
  );
  lines.push(
    `then ${duration(time.graceSeconds)} of grace and ${duration(time.soakSeconds)} of soak before the old version is destroyed`,
  );
  return lines;
}

function rateLine(rate: MeasuredRate | null): string {
  if (rate === null) return 'rate: not measured yet, no rotation has completed';
  const whose = rate.sameKey ? 'this key' : 'another key';
  const size = `${counted(rate.records, 'record')} of ${whose} in ${duration(rate.seconds)}`;
  return `measured from rotation ${rate.jobId}: ${count(Math.round(rate.perSecond))} records/s (${size})`;
}

/** Of one key or of several; the exit code. */
export async function runDryRuns(
  deps: Deps,
  out: Output,
  keys: readonly TenantKey[],
  { all, recordsPerSecond }: { readonly all: boolean; readonly recordsPerSecond?: number | null | undefined },
): Promise<number> {
  const reports: { readonly key: TenantKey; readonly report: DryRunReport }[] = [];
  for (const key of keys) {
    const report = await dryRun(deps, out, key, recordsPerSecond);
    printDryRun(out, key, report);
    if (all) out.line();
    reports.push({ key, report });
  }
  const [only] = reports;
  if (all) {
    const total = reports.reduce((sum, { report }) => sum + report.plan.price.dollars, 0);
    out.line(`${counted(reports.length, 'key')}: about $${total === 0 ? '0' : dollars(total)} in all.`);
    out.result({ dryRuns: reports.map(({ report }) => dryRunJson(report)) });
  } else if (only !== undefined) out.result(dryRunJson(only.report));
  return Math.max(EXIT_CODES.done.code, ...reports.map(({ report }) => exitCodeOfDryRun(report)));
}
