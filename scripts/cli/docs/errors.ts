import { ERRORS, EXIT_CODES } from '../exit-codes.ts';

/** docs/errors.md: every error code with its meaning and exit code. */
export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { exit, meaning }]) => `| \`${code}\` | ${EXIT_CODES[exit].code} | ${meaning} |`,
  );
  return `<!-- Made from scripts/cli/exit-codes.ts by scripts/cli/docs/write.ts; a test checks that it is current. -->
# Errors

Every error that Keyturn raises on purpose has a stable code. The command line prints it on standard error, with what to do
about it where that is known, and with \`--json\` also as one line on standard output:

\`\`\`text
keyturn: KEY_NOT_FOUND: Tenant "acme" has no key for the purpose "default"
  \`keyturn keys list\` shows the keys; \`keyturn keys create\` makes one.
\`\`\`

\`\`\`json
{"error":{"code":"KEY_NOT_FOUND","message":"Tenant \\"acme\\" has no key …","remedy":"\`keyturn keys list\` shows …"}}
\`\`\`

Match on the code, never on the message. A message names what is wrong; it never holds a stored value or key bytes.
\`remedy\` is null where there is none. In the code the classes and codes are in \`shared/errors/errors.ts\`.

| code | exit code | meaning |
|---|---|---|
${rows.join('\n')}

## Exit codes

${exitCodeTable()}
`;
}

export function exitCodeTable(): string {
  const rows = Object.values(EXIT_CODES).map(({ code, meaning }) => `| ${code} | ${meaning} |`);
  return ['| exit code | meaning |', '|---|---|', ...rows].join('\n');
}
