import { z } from 'zod';
import { RecordStoreError } from '../../shared/errors/errors.ts';
import { type GiveUpAnswer, giveUp } from '../../shared/rotation/give-up.ts';
import { approveCommand } from '../cli/approval-words.ts';
import { defineCommand, REASON, required, TENANT, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { time } from '../cli/format.ts';
import { whyQuarantined } from '../cli/quarantine-words.ts';

export const quarantineGiveUp = defineCommand({
  name: 'quarantine give-up',
  summary: 'Put a tombstone in the place of a quarantined value, with approvals',
  details:
    'For one value that nothing can bring back. It is opened first: one that opens is refused, and so is one whose key\n' +
    'cannot be had now. The first time it asks the approvers and ends with exit code 4; once enough have approved, the same\n' +
    'command, with the same reason, writes the tombstone, if the very same bytes still stand there. The bytes are kept\n' +
    'nowhere: only their SHA-256 is in the audit. The value then needs no key version any more. On a terminal it asks\n' +
    'first, unless --yes.',
  json: '{status: "given-up" | "settled" | "not-approved", requestId, at, approvals, required, value: {recordSet, recordId, field, code, version, sha256}}',
  options: [
    required(TENANT, 'Whose record'),
    required('--record-set <name>', 'A record set of the configuration'),
    required('--record <id...>', 'Its key; of several columns, a value for each'),
    required('--field <name>', 'The field'),
    required('--reason <text>', 'Why, for the approvers and the audit'),
    YES(),
  ],
  examples: [
    {
      line: 'keyturn quarantine give-up --tenant acme --record-set customers --record 23 --field email --reason "Disk failure; no backup has it"',
      says: 'ask for it; and once it is approved, do it',
    },
  ],
  input: z.object({
    tenant: z.string(),
    recordSet: z.string(),
    record: z.array(z.string()).min(1),
    field: z.string(),
    reason: REASON,
    yes: z.boolean().default(false),
  }),
  asks: ({ tenant, recordSet }) => ({ tenant, recordSet }),
  run: ({ tenant, recordSet, record, field, reason, yes }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const { fields } = deps.recordSets.store(recordSet);
      if (!fields.includes(field)) {
        throw new RecordStoreError('COLUMN_NOT_FOUND', `Record set "${recordSet}" has no field "${field}"`, {
          remedy: `Its fields are: ${fields.join(', ')}.`,
        });
      }
      const name = `${field} of record ${record.join(', ')} in ${recordSet}`;
      await confirm(
        out,
        `The stored bytes of ${name} will be gone for good. Backups alone may have them.`,
        yes,
      );
      const answer = await giveUp(deps, {
        ...{ tenant, recordSet, recordId: record, field, reason },
        requestedBy: requestedBy(),
      }).catch((error: unknown) => {
        throw namingRecord(error, recordSet, deps.recordSets.config(recordSet).key);
      });
      for (const line of words(answer, name)) out.line(line);
      if (answer.status !== 'not-approved') {
        out.result(answer);
        return EXIT_CODES.done.code;
      }
      const { request, valid, required: needed } = answer.outcome.check;
      out.result({
        ...{ status: answer.status, requestId: request.requestId },
        ...{ approvals: valid.length, required: needed, value: answer.value },
      });
      return EXIT_CODES.refused.code;
    }),
});

/** The store knows the columns, not what they are called in the configuration. */
function namingRecord(error: unknown, recordSet: string, keyColumns: readonly string[]): unknown {
  if (!(error instanceof RecordStoreError) || error.code !== 'RECORD_KEY_INVALID') return error;
  return new RecordStoreError('RECORD_KEY_INVALID', `Record set "${recordSet}": ${error.message}`, {
    cause: error,
    remedy: `Give a value for each of its key columns, in this order: ${keyColumns.join(', ')}.`,
  });
}

function words(answer: GiveUpAnswer, name: string): readonly string[] {
  switch (answer.status) {
    case 'given-up': {
      const by = answer.requestId === null ? 'no approvals are required' : `request ${answer.requestId}`;
      return [`Given up: ${name}, at ${time(answer.at)} (${by}).`];
    }
    case 'settled':
      return [`Nothing to give up: ${name} is gone, NULL, or opens. It has left the quarantine.`];
    case 'not-approved': {
      const { request, valid, required: needed } = answer.outcome.check;
      const { code, sha256 } = answer.value;
      return [
        `Not given up: ${valid.length} of ${needed} approvals.`,
        `  value    ${name}: ${whyQuarantined(code)}`,
        `  sha256   ${sha256}`,
        `  request  ${request.requestId}, until ${time(request.expiresAt)}`,
        `  approve  ${approveCommand(request.requestId)}`,
        '  then     repeat this command, with the same reason',
      ];
    }
  }
}
