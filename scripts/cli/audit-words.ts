import type { AuditEntry, AuditValue } from '../../shared/audit/entry.ts';
import type { ExportReport } from '../../shared/audit/export-chains.ts';
import { SERVICE } from '../../shared/audit/outbox.ts';
import type { VerifyReport } from '../../shared/audit/verify-chain.ts';
import { counted, time } from './format.ts';

/** What is told of the audit. Pure. */

export function entryRow({ sequence, at, actor, type, detail }: AuditEntry): string[] {
  return [String(sequence), time(at), type, actor, detailText(detail)];
}

/** Told already by the type, or of use to a machine only. */
const UNTOLD: ReadonlySet<string> = new Set(['keyId', 'revision', 'recordSets', 'state']);

function detailText(detail: AuditEntry['detail']): string {
  const { changes } = detail;
  if (Array.isArray(changes) && changes.length > 0) {
    const { purpose } = detail;
    return `${valueText(purpose ?? null)}: ${changes.join('; ')}`;
  }
  return Object.entries(detail)
    .filter(([name, value]) => !UNTOLD.has(name) && value !== null && valueText(value) !== '')
    .map(([name, value]) => `${name} ${valueText(value)}`)
    .join(', ');
}

function valueText(value: AuditValue): string {
  return Array.isArray(value) ? value.join(', ') : String(value);
}

export function chainName(tenant: string): string {
  return tenant === SERVICE ? 'the service itself' : tenant;
}

/** A line a tenant, and one for each finding under it. */
export function verifyLines({ tenant, entries, archived, anchors, findings }: VerifyReport): string[] {
  const inLedger = entries === null ? '' : `${counted(entries, 'entry', 'entries')}, `;
  const read = `${inLedger}${counted(archived, 'entry', 'entries')} archived, ${counted(anchors, 'anchor')}`;
  const verdict = findings.length === 0 ? 'as it was written' : counted(findings.length, 'finding');
  return [
    `${chainName(tenant)}: ${read}: ${verdict}`,
    ...findings.map(({ code, where, message }) => `  ${code} (${where}): ${message}`),
  ];
}

/** What nothing that was found says anything of. */
export function unreadLines({ unread }: VerifyReport): string[] {
  return unread.map((what) => `  not looked at: ${what}`);
}

export function exportLines(report: ExportReport): string[] {
  const { entries, tenants, settled, pending, left, failed, broken } = report;
  const lines = [`Exported ${counted(entries, 'entry', 'entries')} of ${counted(tenants, 'tenant')}.`];
  if (settled > 0)
    lines.push(`Confirmed that the entries of ${counted(settled, 'change')} are in their chains.`);
  if (pending > 0) lines.push(`${counted(pending, 'event')} could not be brought into the chain.`);
  if (left > 0) lines.push(`${counted(left, 'tenant')} left for the next export.`);
  if (failed > 0) lines.push(`${counted(failed, 'failure')}, ${counted(broken, 'broken chain')} among them.`);
  return lines;
}
