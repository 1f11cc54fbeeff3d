import { defineConfig } from 'vitest/config';

/** Against AWS emulators in Python and Java, which `npm run test:emulators` installs and names itself to; `npm test` is npm only. */
const emulator = {
  test: {
    name: 'emulator',
    include: ['test/emulator/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
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
          exclude: ['test/integration/**', 'test/emulator/**', 'test/deployment/**'],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'deployment',
          include: ['test/deployment/**/*.test.ts'],
          globalSetup: ['test/deployment/support/global-setup.ts'],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          // After the fast ones, and not beside them.
          sequence: { groupOrder: 1 },
        },
      },
      ...(process.env['KEYTURN_EMULATORS'] === 'true' ? [emulator] : []),
    ],
  },
});
