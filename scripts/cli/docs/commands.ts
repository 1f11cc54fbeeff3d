import { COMMANDS } from '../../commands/index.ts';
import type { Command } from '../command.ts';
import { exitCodeTable } from './errors.ts';

/** docs/cli.md: every command with what it prints. */
export function commandsPage(): string {
  const list = COMMANDS.map(
    ({ name, summary }) => `| [\`keyturn ${name}\`](#keyturn-${anchor(name)}) | ${summary} |`,
  );
  return `<!-- Made from scripts/commands/ by scripts/cli/docs/write.ts; a test checks that it is current. -->
# The command line

Run it in the checkout as \`npx keyturn …\` or \`npm run keyturn -- …\`: both bring Node 24 along. \`keyturn <command> --help\` has
what stands here.

| command | what it does |
|---|---|
${list.join('\n')}

## What all commands have in common

| option | meaning |
|---|---|
| \`--config <file>\` | The [configuration](configuration.md). Default: \`keyturn.yaml\`, \`keyturn.yml\` or \`keyturn.json\` in the working directory |
| \`--dir <folder>\` | The embedded stack's folder. Default: \`.keyturn\` beside the configuration |
| \`--json\` | One line of JSON on standard output and nothing else there |
| \`--help\` | How a command is used, with examples |

- **Where it works.** On the embedded stack that runs in the folder; where none runs and \`KEYTURN_LEDGER_TABLE\` is set, on AWS.
- **Output.** The report goes to standard output; progress, warnings and errors go to standard error. On a terminal the
  progress is a bar with records, rate and time left; elsewhere it is plain lines without escape codes. \`NO_COLOR\` is respected.
- **JSON.** Field names are stable; fields may be added. Times are ISO 8601 in UTC. With \`--json\` nothing is asked: what
  would ask needs \`--yes\`. An error is \`{"error": {"code", "message", "remedy"}}\`.
- **Errors** have a code, a message that names what is wrong, and mostly a remedy: [errors.md](errors.md).
- **Ctrl-C** while waiting ends the command with exit code 130, not the job: that goes on in the stack and
  \`keyturn status\` shows it. Asking again joins it. Several commands may run at once.
- \`job.progress\` is \`{planned, rewrapped, skipped, quarantined, remaining, listed}\` in records, and
  rewrapped + skipped + quarantined + remaining = planned at every moment; \`skipped\` are records that needed nothing any
  more, mostly because the application had written them; for an adoption \`rewrapped\` counts sealed records.

## Exit codes

${exitCodeTable()}

${COMMANDS.map(section).join('\n')}`;
}

function section(command: Command): string {
  const { name, details, json } = command;
  const usage = [
    `keyturn ${name}`,
    ...command.options.map(({ flags, mandatory }) => (mandatory ? flags : `[${flags}]`)),
    ...command.arguments.map((argument) => argument.name),
  ].join(' ');
  const options = command.options.map(
    ({ flags, description, defaultValue, argChoices }) =>
      `| \`${flags}\` | ${description}${argChoices === undefined ? '' : ` (${argChoices.join(', ')})`}${shownDefault(defaultValue)} |`,
  );
  const named = command.arguments.map((argument) => `| \`${argument.name}\` | ${argument.description} |`);
  const rows = [...named, ...options];
  const examples = command.examples.map(({ line, says }) => `# ${says}\n${line}`);
  const body = /^ /.test(details) ? `\`\`\`text\n${details}\n\`\`\`` : details;
  return `## keyturn ${name}

${body}

\`\`\`text
${usage}
\`\`\`

${rows.length === 0 ? '' : `| option | meaning |\n|---|---|\n${rows.join('\n')}\n\n`}\`\`\`sh
${examples.join('\n')}
\`\`\`

With \`--json\`: \`${json}\`
`;
}

function shownDefault(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? `; default \`${value}\`` : '';
}

function anchor(name: string): string {
  return name.replaceAll(' ', '-');
}
