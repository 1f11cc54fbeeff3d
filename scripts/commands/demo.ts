import { z } from 'zod';
import { defineCommand, option, wholeNumber } from '../cli/command.ts';

export interface DemoOptions {
  readonly records: number;
  readonly tenants: number;
  readonly json: boolean;
  readonly keep?: string;
}

export const demo = defineCommand({
  name: 'demo',
  summary: 'See a rotation from end to end, on data of its own',
  details:
    'Starts an embedded stack in a temporary folder, fills a database with realistic records, runs readers and\n' +
    'writers, rotates, proves, purges, and ends with a report. Nothing of yours is touched, nothing is left running.\n' +
    'Ends with exit code 0 only if nothing was lost.',
  json: '{records, rewrapped, skipped, quarantined, remaining, opened, mismatches, purged, seconds, recordsPerSecond, …}',
  options: [
    option('--records <count>', 'Records in all').argParser(wholeNumber).default(20_000),
    option('--tenants <count>', 'Tenants they belong to').argParser(wholeNumber).default(3),
    option('--keep <folder>', 'Keep the data in this folder, to look at it with the other commands'),
  ],
  examples: [
    { line: 'keyturn demo', says: '20,000 records of 3 tenants' },
    { line: 'keyturn demo --records 200000 --tenants 5', says: 'a larger one' },
  ],
  input: z.object({ records: z.number(), tenants: z.number(), keep: z.string().optional() }),
  run: async ({ records, tenants, keep }, { globals }) => {
    const { runDemo } = await import('../demo/demo.ts');
    return runDemo({ records, tenants, json: globals.json, ...(keep !== undefined && { keep }) });
  },
});
