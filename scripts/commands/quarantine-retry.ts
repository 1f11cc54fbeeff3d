import { z } from 'zod';
import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { QuarantinedRecord } from '../../shared/ledger/ledger.ts';
import { retryQuarantined, settleQuarantine } from '../../shared/rotation/quarantine.ts';
import { defineCommand, option, TENANT, wholeNumber } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { count, counted } from '../cli/format.ts';
import { interruptible } from '../cli/interrupt.ts';
import { keyName } from '../cli/job-words.ts';
import { whyQuarantined } from '../cli/quarantine-words.ts';
import { listQuarantined, quarantinedJson } from '../cli/quarantined.ts';

const POLL_MS = 500;

export const quarantineRetry = defineCommand({
  name: 'quarantine retry',
  summary: 'Try the quarantined values again',
  details:
    'Queues them, and waits until each is on the active version or has failed again. Ends with exit code 4 when some\n' +
    'failed again, with 5 when some were not tried within --timeout. After it a BLOCKED job goes on when it is asked\n' +
    'for again (`keyturn rotate`, `keyturn purge`).',
  json: '{queued, settled, failed: [{tenant, recordSet, recordId, field, code, …}], pending: [the same]}',
  options: [
    option(TENANT, 'Only this tenant'),
    option('--timeout <seconds>', 'How long to wait').argParser(wholeNumber).default(120),
  ],
  examples: [{ line: 'keyturn quarantine retry --tenant acme', says: 'after the records were repaired' }],
  input: z.object({ tenant: z.string().optional(), timeout: z.number() }),
  run: ({ tenant, timeout }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const { keys, records } = await listQuarantined(deps, tenant);
      const queued = await retryQuarantined(deps, records, deps.config.rotation.chunkSize);
      if (queued > 0) out.progress(`${counted(queued, 'record')} queued`);
      const left = await interruptible('The queued records are still worked on', (signal) =>
        waitUntilTried(deps, keys, records, timeout * 1000, signal),
      );
      const pending = left.filter((record) => !wasTried(record, records));
      const failed = left.filter((record) => wasTried(record, records));
      const settled = Math.max(0, records.length - left.length);
      out.line(
        records.length === 0
          ? 'Nothing is quarantined.'
          : `${counted(settled, 'value')} settled, ${count(failed.length)} failed again, ${count(pending.length)} not tried yet`,
      );
      for (const record of failed) {
        out.line(
          `  ${keyName(record)} ${record.recordSet} ${record.recordId.join(', ')} ${record.field}: ${record.code}, ${whyQuarantined(record.code)}`,
        );
      }
      out.result({
        queued,
        settled,
        failed: failed.map(quarantinedJson),
        pending: pending.map(quarantinedJson),
      });
      if (failed.length > 0) return EXIT_CODES.refused.code;
      return pending.length > 0 ? EXIT_CODES.unavailable.code : EXIT_CODES.done.code;
    }),
});

/** Returns those that stay in the quarantine. */
async function waitUntilTried(
  deps: Deps,
  keys: readonly TenantKey[],
  before: readonly QuarantinedRecord[],
  withinMs: number,
  signal: AbortSignal,
): Promise<readonly QuarantinedRecord[]> {
  const deadline = deps.clock.now() + withinMs;
  for (;;) {
    const left: QuarantinedRecord[] = [];
    for (const { tenant, purpose } of keys) left.push(...(await settleQuarantine(deps, tenant, purpose)));
    if (left.every((record) => wasTried(record, before)) || deps.clock.now() > deadline) return left;
    await deps.clock.sleep(POLL_MS, signal);
  }
}

/** A record that fails again is set aside again, with the time of it. */
function wasTried(record: QuarantinedRecord, before: readonly QuarantinedRecord[]): boolean {
  const known = before.find((other) => identity(other) === identity(record));
  return known === undefined || known.at !== record.at;
}

function identity({ keyId, recordSet, recordId, field }: QuarantinedRecord): string {
  return JSON.stringify([keyId, recordSet, recordId, field]);
}
