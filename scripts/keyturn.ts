#!/usr/bin/env node
/** The command line. Only the check of the runtime is here, so that an older Node gets far enough to say so. */

const NEEDED = 24;

if (Number.parseInt(process.versions.node, 10) < NEEDED) {
  process.stderr.write(
    `keyturn: NODE_TOO_OLD: this is Node ${process.versions.node}, and keyturn needs Node ${NEEDED}\n` +
      '  In the checkout `npx keyturn …` and `npm run keyturn -- …` bring the right one along.\n',
  );
  process.exitCode = 2;
} else {
  const { main } = await import('./cli/main.ts');
  process.exitCode = await main(process.argv.slice(2));
}
