import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DYNAMODB_EXAMPLE, listSettings } from '../../scripts/cli/docs/configuration.ts';
import { PAGES } from '../../scripts/cli/docs/pages.ts';
import { exampleConfig } from '../../scripts/cli/example-config.ts';
import { ERRORS, EXIT_CODES } from '../../scripts/cli/exit-codes.ts';
import { COMMANDS } from '../../scripts/commands/index.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { configSchema } from '../../shared/config/schema.ts';

/** What the pages in docs/ that are made from the code claim is what the code says. */

const read = (name: string) => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

describe('the pages made from the code', () => {
  it.each(Object.entries(PAGES))('are current: docs/%s', async (name, page) => {
    // If not: node scripts/cli/docs/write.ts
    expect(await read(name)).toBe(page());
  });

  it('name every error code with its exit code', async () => {
    const page = await read('errors.md');
    for (const [code, { exit }] of Object.entries(ERRORS))
      expect(page).toContain(`| \`${code}\` | ${EXIT_CODES[exit].code} |`);
    for (const { code, meaning } of Object.values(EXIT_CODES))
      expect(page).toContain(`| ${code} | ${meaning} |`);
  });

  it('name every setting with a meaning', async () => {
    const page = await read('configuration.md');
    const rows = new Set([...page.matchAll(/^\| `([^`]+)` \| .+ \| .+ \| .+ \|$/gm)].map(([, path]) => path));
    for (const name of settingNames(z.toJSONSchema(configSchema, { io: 'input' })))
      expect(
        [...rows].some((path) => path?.split(/[.[\]]+/).includes(name)),
        name,
      ).toBe(true);
    for (const { path, meaning } of listSettings()) {
      expect(rows).toContain(path);
      expect(meaning).not.toBe('');
    }
  });

  it('have every command, its options and examples', async () => {
    const page = await read('cli.md');
    for (const { name, options, examples } of COMMANDS) {
      const section = page.split(/^## /m).find((text) => text.startsWith(`keyturn ${name}\n`)) ?? '';
      for (const { flags } of options) expect(section).toContain(`| \`${flags}\` |`);
      for (const { line } of examples) expect(section).toContain(line);
    }
  });

  it('link to headings and files that are there', async () => {
    const page = await read('cli.md');
    const anchors = new Set(
      [...page.matchAll(/^## (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-')),
    );
    const links = [...page.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => target);
    expect(links.length).toBeGreaterThan(COMMANDS.length);
    for (const link of links) {
      if (link.startsWith('#')) expect(anchors).toContain(link.slice(1));
      else await expect(read(link)).resolves.not.toBe('');
    }
  });
});

describe('the example of a table of DynamoDB', () => {
  it('is valid', () => {
    const provider = 'provider: { type: local, keystore: k.json, keyFile: k.key }\n';
    const config = parseConfig(provider + DYNAMODB_EXAMPLE, 'test');
    expect(config.stores['tables']).toMatchObject({ type: 'dynamodb', requestsInFlight: 32 });
    expect(config.recordSets['customers']).toMatchObject({ index: 'by-tenant' });
  });
});

describe('the configuration that init writes', () => {
  const paths = { schema: 's', keystore: '.keyturn/keystore.json', keyFile: "it's a: #key" };
  const text = exampleConfig(paths);

  it('is valid, and its paths are the given ones', () => {
    const config = parseConfig(text, 'test');
    expect(config.provider).toMatchObject({ keystore: paths.keystore, keyFile: paths.keyFile });
    expect(config.stores['main']).toMatchObject({ embedded: 'app' });
  });

  it('shows the defaults that it says it shows', () => {
    const { rotation } = parseConfig(text, 'test');
    expect(rotation).toEqual(
      configSchema.parse({ provider: parseConfig(text, 'test').provider, stores: {}, recordSets: {} })
        .rotation,
    );
  });

  it('is valid with its commented example as well', () => {
    const uncommented = text
      .replace(/^recordSets: \{\}$/m, 'recordSets:')
      .replace(/^# {2}(customers:| {2}.*)$/gm, (line) => line.slice(1).padStart(1));
    const config = parseConfig(uncommented, 'test');
    expect(config.recordSets['customers']?.fields[0]).toMatchObject({ plaintextColumn: 'email' });
  });
});

/** Names of all properties, however deep. */
function settingNames(schema: unknown): string[] {
  if (Array.isArray(schema)) return schema.flatMap(settingNames);
  if (typeof schema !== 'object' || schema === null) return [];
  return Object.entries(schema).flatMap(([key, value]) =>
    key === 'properties' && typeof value === 'object' && value !== null
      ? [...Object.keys(value), ...Object.values(value).flatMap(settingNames)]
      : settingNames(value),
  );
}
