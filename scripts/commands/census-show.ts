import { z } from 'zod';
import { RotationError } from '../../shared/errors/errors.ts';
import { censusJson, censusReport } from '../cli/census-words.ts';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';

export const censusShow = defineCommand({
  name: 'census show',
  summary: 'Show a census that was kept',
  details:
    'What it read by record set and version, what it did not read and why, who asked for it, and of which job it is.',
  json: '{censusId, keyId, tenant, purpose, active, version, restoreEpoch, jobId, attempt, round, takenAt, takenBy, reach, coverage, excluded, undeclared, onVersion, stale, malformed, foreign}',
  arguments: [{ name: '<id>', description: 'Its id, as `census list` has it' }],
  examples: [{ line: 'keyturn census show 0193a1b2-…', says: 'what was read then' }],
  input: z.object({ id: z.string() }),
  run: ({ id }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const stored = await deps.ledger.findStoredCensus(id);
      if (stored === null) {
        throw new RotationError('CENSUS_NOT_FOUND', `There is no kept census ${id}`, {
          remedy: '`keyturn census list --tenant <name>` has those of a key.',
        });
      }
      const { tenant, purpose, active, version, jobId, attempt, round, restoreEpoch, result } = stored;
      for (const line of censusReport({ tenant, purpose, ...(jobId !== null && { version }) }, result))
        out.line(line);
      out.line(
        `Asked for by ${result.takenBy}. Version ${active} was active, restore epoch ${restoreEpoch}.`,
      );
      if (jobId !== null) {
        out.line(
          `Of job ${jobId}, attempt ${attempt}, round ${round}: ${result.onVersion} on version ${version}.`,
        );
      }
      out.result(censusJson(stored));
      return EXIT_CODES.done.code;
    }),
});
