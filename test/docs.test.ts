import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileFunction } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { STATE_FUNCTIONS } from '../functions/index.ts';
import { COMMANDS } from '../scripts/commands/index.ts';
import { createKek, inspect } from '../shared/envelope/index.ts';
import { createFieldCipher } from '../shared/keyring/field-cipher.ts';
import type { Keyring } from '../shared/keyring/keyring.ts';
import { STATE_RULES, VERSION_STATES } from '../shared/keyring/states.ts';
import { itemKeys } from '../shared/ledger/attributes.ts';
import { BLOCKER_CODES, JOB_STATUSES, JOB_TRANSITIONS } from '../shared/rotation/rotation.ts';

/** The pages that people write, against the code that they speak of. */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const architecture = read('ARCHITECTURE.md');
const readme = read('README.md');
const pages = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: ROOT, encoding: 'utf8' })
  .split('\0')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)));

const FENCED = /^(```+|~~~+)[\s\S]*?^\1/gm;

describe('ARCHITECTURE.md', () => {
  it('has the states of a key version and what each may do', () => {
    const rows = table('| State | Encrypts | Decrypts |').map(([state, ...rules]) => [code(state), ...rules]);
    const rules = VERSION_STATES.map((state) => {
      const { encrypt, decrypt } = STATE_RULES[state];
      return [state, encrypt ? 'yes' : 'no', decrypt];
    });
    expect(rows).toEqual(rules);
  });

  it('has every step between the states, and says of each who makes it', () => {
    const rows = table('| From | To | Who |');
    const steps = VERSION_STATES.flatMap((from) => STATE_RULES[from].next.map((to) => [from, to]));
    expect(rows.map(([from, to]) => [code(from), code(to)])).toEqual(steps);
    expect(rows.filter(([, , who = '']) => who === '')).toEqual([]);
  });

  it('has the statuses of a job and what each may become', () => {
    const rows = table('| Status | Meaning | Next |').map(([status, , next]) => [code(status), codes(next)]);
    expect(rows).toEqual(JOB_STATUSES.map((status) => [status, [...JOB_TRANSITIONS[status]]]));
  });

  it('has every blocker', () => {
    expect(table('| Blocker | Why the job stopped |').map(([blocker]) => code(blocker))).toEqual([
      ...BLOCKER_CODES,
    ]);
  });

  it.each([
    ['The way of a rotation', 'rotate-key'],
    ['The way of a purge', 'purge-version'],
    ['The way of an adoption', 'adopt-records'],
  ])('%s: its steps are the states of %s, in their order', (heading, machine) => {
    const rows = table('| Step | State | Function | Domain | Writes | A repeat |', section(heading));
    expect(rows.map(([, state]) => state)).toEqual(taskStates(machine));
    for (const [, state = '', functionFolder, domain] of rows) {
      expect(Object.keys(STATE_FUNCTIONS)).toContain(state);
      const name = kebab(state);
      expect([code(functionFolder), code(domain)]).toEqual([
        `functions/${name}/`,
        `shared/rotation/${name}.ts`,
      ]);
      expect(read(`functions/${name}/index.ts`)).toContain(`shared/rotation/${name}.ts`);
    }
  });

  it('has the keys of every item of the ledger', () => {
    const rows = table('| Item | pk | sk | Holds |').map(([item, pk, sk]) => [
      code(item),
      code(pk),
      code(sk),
    ]);
    const named = { round: 1, segment: 2, page: 3 };
    const shown = ({ pk, sk }: { pk: string; sk: string }) =>
      [pk, sk].map((key) => key.replaceAll(/\d{10}/g, (digits) => `<${nameOf(named, Number(digits))}>`));
    const keys: Record<keyof typeof itemKeys, string[]> = {
      state: shown(itemKeys.state()),
      key: shown(itemKeys.key('tenant', 'purpose')),
      job: shown(itemKeys.job('jobId')),
      round: shown(itemKeys.round('jobId', 1)),
      page: shown(itemKeys.page('jobId', 1, 2, 3)),
      segment: shown(itemKeys.segment('jobId', 1, 2)),
      census: shown(itemKeys.census('jobId', 'census', 2)),
      storedCensus: shown(itemKeys.storedCensus('keyId', 'takenAt', 'censusId')),
      auditEntry: shown(itemKeys.auditEntry('tenant', 1)).map((key) => key.replace('<round>', 'sequence')),
      auditEvent: shown(itemKeys.auditEvent('tenant', 'eventId')),
      exportMark: shown(itemKeys.exportMark('tenant')),
      restore: shown(itemKeys.restore('restoreId')),
      quarantine: shown(itemKeys.quarantine('keyId', 'recordSet', ['recordId'], 'field')),
      certificate: shown(itemKeys.certificate('keyId', 1)).map((key) => key.replace('<round>', 'version')),
      approvalRequest: shown(itemKeys.approvalRequest('requestId')),
      approval: shown(itemKeys.approval('requestId', 'approver')),
      approvalVoid: shown(itemKeys.approvalVoid('requestId')),
    };
    const withoutMarks = (key: string) =>
      key.replaceAll(/<(\w+)>/g, (mark, name) => (name in named ? mark : name));
    expect(rows.map(([item, ...pair]) => [item, ...pair.map(withoutMarks)]).sort()).toEqual(
      Object.entries(keys)
        .map(([item, pair]) => [item, ...pair])
        .sort(),
    );
  });
});

describe('docs/runbook.md', () => {
  it.each(BLOCKER_CODES)('says of %s what it means, what to check, and what to do', (blocker) => {
    const [, entry = ''] = read('docs/runbook.md').split(`### \`${blocker}\`\n`);
    const [own = ''] = entry.split(/^#{2,3} /m);
    expect([...own.matchAll(/^- \*\*(Means|Check|Do)\*\*: \S/gm)].map(([, part]) => part)).toEqual([
      ...['Means', 'Check', 'Do'],
    ]);
  });
});

describe.each(['ARCHITECTURE.md', 'docs/protocol.md'])('%s', (page) => {
  it('names only files and folders that are there', () => {
    const named = [
      ...read(page).matchAll(/`((?:functions|state-machines|shared|local|scripts|test|docs)\/[^`\s]*)`/g),
    ];
    expect(named.length).toBeGreaterThan(10);
    expect(named.map(([, path = '']) => path).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });
});

describe.each(pages)('%s', (page) => {
  const prose = withoutCode(read(page));

  it('links to pages and headings that are there', () => {
    const targets = [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|^\[[^\]]+\]:\s+(\S+)/gm)].map(
      ([, inline, reference]) => inline ?? reference ?? '',
    );
    expect(targets.filter((target) => !isExternal(target) && !resolves(page, target))).toEqual([]);
  });

  it('names only npm scripts and commands that are there', () => {
    expect(unknownScripts(read(page))).toEqual([]);
    expect(unknownCommands(read(page))).toEqual([]);
  });
});

describe('README.md', () => {
  it('shows an application that runs as it stands there, given a keyring', async () => {
    const [, example = ''] = readme.match(/^```ts\n([\s\S]*?)^```/m) ?? [];
    const [imported = '', ...body] = example.split('\n');
    expect(imported).toBe("import { createFieldCipher } from './shared/keyring/field-cipher.ts';");
    const kek = createKek({
      keyId: '01932c07-209f-7000-8000-000000000001',
      version: 3,
      key: randomBytes(32),
    });
    const asked: string[] = [];
    const keyring: Keyring = {
      active: async (tenant, purpose) => {
        asked.push(`${tenant}/${purpose}`);
        return kek;
      },
      version: async (tenant, purpose, version) => {
        asked.push(`${tenant}/${purpose}/${version}`);
        return kek;
      },
      clear() {},
    };
    const run = compileFunction(`return (async () => {${body.join('\n')}\nreturn { envelope, email };})();`, [
      'createFieldCipher',
      'keyring',
      'Buffer',
    ]);
    const { envelope, email } = z
      .object({ envelope: z.instanceof(Uint8Array), email: z.string() })
      .parse(await run(createFieldCipher, keyring, Buffer));
    expect(email).toBe('puja@example.org');
    expect(inspect(envelope)).toMatchObject({ version: 3, plaintextLength: email.length });
    expect(asked).toEqual(['shop/contact-data', 'shop/contact-data/3']);
  });

  it('names npm scripts and commands', () => {
    expect(namedScripts(readme)).toContain('demo');
    expect(namedCommands(readme).length).toBeGreaterThan(0);
  });

  it('lists the dependencies of package.json, each in its kind', () => {
    const { dependencies, devDependencies } = packageJson;
    const listed = { runtime: new Set<string>(), development: new Set<string>() };
    for (const [, heading = '', body = ''] of readme.matchAll(/^#+ (.*dependencies.*)\n([^#]*)/gim)) {
      const kind = /^dev/i.test(heading) ? 'development' : 'runtime';
      for (const [, name = ''] of body.matchAll(/^\| `([^`]+)` \|/gm)) listed[kind].add(name);
    }
    expect([...listed.runtime].sort()).toEqual(Object.keys(dependencies).sort());
    expect([...listed.development].sort()).toEqual(Object.keys(devDependencies).sort());
  });
});

const text = z.record(z.string(), z.string());
const packageJson = z
  .object({ scripts: text, dependencies: text, devDependencies: text })
  .parse(JSON.parse(read('package.json')));

/** The part of ARCHITECTURE.md under a heading, up to the next of the same level. */
function section(heading: string): string {
  const [, found] = architecture.split(`\n## ${heading}\n`);
  if (found === undefined) throw new Error(`ARCHITECTURE.md has no heading "${heading}"`);
  return found.split('\n## ')[0] ?? '';
}

/** The cells of the one table with this header, row by row. */
function table(header: string, text = architecture): string[][] {
  const [, after, again] = text.split(`\n${header}\n`);
  if (after === undefined || again !== undefined) throw new Error(`Not exactly one table ${header}`);
  const [rows = ''] = after.split('\n\n');
  return rows
    .trim()
    .split('\n')
    .slice(1)
    .map((row) =>
      row
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function codes(cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, found = '']) => found);
}

function code(cell = ''): string {
  const [found = '', more] = codes(cell);
  expect(more, cell).toBeUndefined();
  return found;
}

function kebab(name: string): string {
  return name.replaceAll(/(?<!^)[A-Z]/g, (letter) => `-${letter}`).toLowerCase();
}

function nameOf(names: Readonly<Record<string, number>>, value: number): string | undefined {
  return Object.keys(names).find((name) => names[name] === value);
}

interface States {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, State>>;
}

interface State {
  readonly Type: string;
  readonly Next?: string | undefined;
  readonly ItemProcessor?: States | undefined;
  readonly Choices?: readonly { readonly Next: string }[] | undefined;
}

const statesSchema: z.ZodType<States> = z.lazy(() =>
  z.object({
    StartAt: z.string(),
    States: z.record(
      z.string(),
      z.object({
        Type: z.string(),
        Next: z.string().optional(),
        ItemProcessor: statesSchema.optional(),
        Choices: z.array(z.object({ Next: z.string() })).optional(),
      }),
    ),
  }),
);

/** Names of the states that call a function, on the way on which every choice takes its first branch. */
function taskStates(machine: string): string[] {
  const walk = ({ StartAt, States: states }: States): string[] => {
    const tasks: string[] = [];
    for (let name: string | undefined = StartAt; name !== undefined; ) {
      const state: State | undefined = states[name];
      if (state === undefined) throw new Error(`${machine} has no state ${name}`);
      if (state.Type === 'Task') tasks.push(name);
      if (state.ItemProcessor !== undefined) tasks.push(...walk(state.ItemProcessor));
      name = state.Choices?.[0]?.Next ?? state.Next;
    }
    return tasks;
  };
  return walk(statesSchema.parse(JSON.parse(read(`state-machines/${machine}.asl.json`))));
}

/** Code is no prose: what looks like a link in it is none. */
function withoutCode(markdown: string): string {
  return markdown.replaceAll(FENCED, '').replaceAll(/`[^`\n]*`/g, '');
}

function isExternal(target: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(target);
}

function resolves(page: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : join(dirname(page), decodeURIComponent(path));
  if (!existsSync(join(ROOT, file))) return false;
  return anchor === undefined || !file.endsWith('.md') || anchors(read(file)).has(anchor);
}

/** As GitHub makes them of headings. */
function anchors(markdown: string): ReadonlySet<string> {
  const found = new Set<string>();
  const prose = markdown.replaceAll(FENCED, '');
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} +(.+?) *$/gm)) {
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = words.replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-');
    let anchor = slug;
    for (let n = 1; found.has(anchor); n++) anchor = `${slug}-${n}`;
    found.add(anchor);
  }
  return found;
}

function namedScripts(markdown: string): string[] {
  return [...markdown.matchAll(/\bnpm run ([a-z][\w:-]*)/g)].map(([, name = '']) => name);
}

function unknownScripts(markdown: string): string[] {
  return namedScripts(markdown).filter((name) => !Object.hasOwn(packageJson.scripts, name));
}

/** What follows `npx keyturn`, up to the first word that is no command's. */
function namedCommands(markdown: string): string[] {
  return [...markdown.matchAll(/\bnpx keyturn((?: [a-z][a-z-]*)+)/g)].map(([, words = '']) => words.trim());
}

function unknownCommands(markdown: string): string[] {
  const known = COMMANDS.map(({ name }) => name);
  return namedCommands(markdown).filter(
    (words) => !known.some((name) => words === name || words.startsWith(`${name} `)),
  );
}
