import { defineConfig } from 'vitest/config';

/** They change what all of a process share: its modules, its environment, its streams, its clock. */
const A_PROCESS_EACH = [
  'test/alarms.test.ts',
  'test/functions/lambda.test.ts',
  'test/scripts/output.test.ts',
  'test/shared/envelope/rewrap-unverified.test.ts',
  'test/shared/ledger/local-dynamodb.test.ts',
  'test/shared/log/powertools-log.test.ts',
  'test/shared/metrics/powertools-metrics.test.ts',
  'test/shared/providers/aws-kms-request-budget.test.ts',
];

const POSTGRES_TEMPLATE = 'test/support/postgres-template.ts';

/** Against AWS emulators in Python and Java, which `npm run test:emulators` installs and names itself to; `npm test` is npm only. */
const emulator = {
  test: {
    name: 'emulator',
    include: ['test/emulator/**/*.test.ts'],
    // Times that only a hang reaches, on a slow machine too.
    testTimeout: 420_000,
    hookTimeout: 420_000,
    // Each starts emulators of its own, on ports of their own; more than two at a time wait for each other's processor.
    maxWorkers: 2,
  },
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/emulator/**', 'test/deployment/**', ...A_PROCESS_EACH],
          globalSetup: [POSTGRES_TEMPLATE],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // One file after the other in two processes: starting one, and importing everything, takes a second of each file.
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'process',
          include: A_PROCESS_EACH,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'deployment',
          include: ['test/deployment/**/*.test.ts'],
          globalSetup: ['test/deployment/support/global-setup.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          isolate: false,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: [POSTGRES_TEMPLATE],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // Each has a stack of its own, on ports of its own, and half of the time waits: for barriers, graces, processes.
          maxWorkers: 3,
          // After the fast ones, and not beside them.
          sequence: { groupOrder: 1 },
        },
      },
      ...(process.env['KEYTURN_EMULATORS'] === 'true' ? [emulator] : []),
    ],
  },
});
