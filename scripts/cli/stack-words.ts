import type { StackInfo } from '../../local/stack-info.ts';

/** A running stack in words; never with the database's password. */

export function stackLines(
  dir: string,
  { pid, config, endpoints, busName, postgresUrl }: StackInfo,
): string[] {
  const lines = [
    `  pid             ${pid}`,
    `  folder          ${dir}`,
    `  configuration   ${config}`,
    `  DynamoDB        ${endpoints.dynamodb}`,
    `  SQS             ${endpoints.sqs}`,
    `  Step Functions  ${endpoints.stepFunctions}`,
    `  EventBridge     ${endpoints.eventBridge} (bus ${busName})`,
  ];
  if (postgresUrl !== null) lines.push(`  PostgreSQL      ${withoutPassword(postgresUrl)}`);
  return lines;
}

export function stackJson(
  dir: string,
  { pid, startedAt, config, endpoints, busName, postgresUrl }: StackInfo,
): object {
  const postgres = postgresUrl === null ? null : withoutPassword(postgresUrl);
  return { dir, pid, startedAt, config, endpoints: { ...endpoints, postgres }, busName };
}

export function withoutPassword(postgresUrl: string): string {
  const url = new URL(postgresUrl);
  url.password = '';
  return url.href;
}
