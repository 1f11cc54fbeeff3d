import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { eventually } from '../support/stack.ts';

/** The command line as its users meet it: real processes, a real stack, a folder of its own. The steps build on each other. */

const KEYTURN = fileURLToPath(new URL('../../scripts/keyturn.ts', import.meta.url));
const ROWS = 120;
/** Two of the rows have no email. */
const VALUES = ROWS - 2;

const RECORD_SETS = `recordSets:
  customers:
    store: main
    table: customer
    key: [id]
    tenant: { fixed: acme }
    fields:
      - { name: email, column: email_enc, plaintextColumn: email }
`;

/** The grace is long enough for a command that meets it, on a busy machine too. */
const ROTATION = `rotation:
  cacheMaxAgeSeconds: 1
  clockSkewSeconds: 0
  maxTransactionSeconds: 1
  backupRetentionSeconds: 0
  graceSeconds: 15
  acceptShortGrace: true
  soakSeconds: 1
`;

const APPROVERS = ['alice', 'bob'];

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let dir: string;
let database: pg.Client;

function start(...args: readonly string[]): ChildProcessWithoutNullStreams {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(KEYTURN_|AWS_|NO_COLOR|FORCE_COLOR|DEBUG)/.test(name)),
  );
  return spawn(process.execPath, [KEYTURN, ...args], { cwd: dir, env: environment });
}

function ending(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdin.end();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

function keyturn(...args: readonly string[]): Promise<Ended> {
  return ending(start(...args));
}

/** Runs it with --json; whatever it printed, the last line is the object. */
async function json<S extends z.ZodType>(schema: S, ...args: readonly string[]): Promise<z.output<S>> {
  const ended = await keyturn(...args, '--json');
  expect(ended, args.join(' ')).toMatchObject({ code: 0 });
  return lastLine(schema, ended);
}

function lastLine<S extends z.ZodType>(schema: S, { stdout }: Ended): z.output<S> {
  const lines = stdout.trimEnd().split('\n');
  expect(lines, 'only the object stands on standard output').toHaveLength(1);
  return schema.parse(JSON.parse(lines.at(-1) ?? ''));
}

const countsSchema = z.object({
  planned: z.number(),
  rewrapped: z.number(),
  skipped: z.number(),
  quarantined: z.number(),
  remaining: z.number(),
});
const jobSchema = z.object({
  answer: z.string(),
  job: z.object({
    jobId: z.string(),
    status: z.string(),
    from: z.number(),
    to: z.number(),
    progress: countsSchema.nullable(),
    census: z.object({ stale: z.number() }).nullable(),
  }),
});
const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), remedy: z.string().nullable() }),
});
const requestsSchema = z.object({
  requests: z.array(z.object({ requestId: z.string(), version: z.number() })),
});
const startedSchema = z.object({ status: z.string(), pid: z.number() });
const keySchema = z.object({
  active: z.number(),
  rotationId: z.string().nullable(),
  versions: z.array(
    z.object({ version: z.number(), state: z.string(), purgeNotBefore: z.string().nullable() }),
  ),
});
const censusSchema = z.object({
  active: z.number(),
  onlyActive: z.boolean(),
  stale: z.number(),
  coverage: z.record(
    z.string(),
    z.object({ rows: z.number(), values: z.number(), versions: z.record(z.string(), z.number()) }),
  ),
});

describe('the command line', () => {
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keyturn-cli-'));
    // PostgreSQL does not run as root; its account must be able to pass through.
    await chmod(dir, 0o711);
  });
  afterAll(async () => {
    await database?.end().catch(() => undefined);
    await keyturn('local', 'stop');
    await rm(dir, { recursive: true, force: true });
  });

  it('makes a configuration that is valid as it stands, and never a second time', async () => {
    expect(await keyturn('init')).toMatchObject({ code: 0, stderr: '' });
    const path = join(dir, 'keyturn.yaml');
    const text = await readFile(path, 'utf8');
    expect(text).toContain('recordSets: {}');
    const again = await keyturn('init');
    expect(again.code).toBe(4);
    expect(again.stderr).toContain('FILE_EXISTS');
    await writeFile(
      path,
      text.replace(/^recordSets: \{\}$/m, () => RECORD_SETS).replace(/^rotation:[\s\S]*$/m, () => ROTATION),
    );
  });

  it('makes a key for each approver, which only its owner reads, and the lines that pin it', async () => {
    const approvers: Record<string, unknown> = {};
    for (const name of APPROVERS) {
      const create = ['approvers', 'create', '--name', name, '--key-file', `${name}.key`];
      const made = await json(z.object({ publicKey: z.record(z.string(), z.string()) }), ...create);
      approvers[name] = { publicKey: made.publicKey };
      expect((await stat(join(dir, `${name}.key`))).mode & 0o777).toBe(0o600);
      const again = await keyturn(...create);
      expect(again.code).toBe(4);
      expect(again.stderr).toContain('SIGNING_KEY_EXISTS');
    }
    const spare = await keyturn('approvers', 'create', '--name', 'carol', '--key-file', 'carol.key');
    expect(spare.stdout).toMatch(/approvals:\n {2}approvers:\n {4}carol:\n {6}publicKey:/);
    const path = join(dir, 'keyturn.yaml');
    await writeFile(path, `${await readFile(path, 'utf8')}\n${stringify({ approvals: { approvers } })}`);
  });

  it.concurrent('says what to do where no stack runs', async () => {
    const ended = await keyturn('status');
    expect(ended.code).toBe(5);
    expect(ended.stderr).toMatch(/STACK_NOT_RUNNING.*\n.*keyturn local start/);
  });

  it.concurrent('names a misspelt setting', async () => {
    const text = await readFile(join(dir, 'keyturn.yaml'), 'utf8');
    await writeFile(join(dir, 'typo.yaml'), text.replace('graceSeconds', 'gracSeconds'));
    const ended = await keyturn('keys', 'list', '--config', 'typo.yaml');
    expect(ended.code).toBe(2);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).toMatch(/CONFIG_INVALID[\s\S]*rotation.*gracSeconds/);
  });

  it('starts one stack when it is asked twice at once', async () => {
    const both = await Promise.all([
      json(startedSchema, 'local', 'start'),
      json(startedSchema, 'local', 'start'),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['already-running', 'started']);
    expect(both[0]?.pid).toBe(both[1]?.pid);
  });

  it('says by doctor what a table still needs', async () => {
    const { postgresUrl } = await json(
      z.object({ postgresUrl: z.string() }),
      'local',
      'status',
      '--show-url',
    );
    const url = new URL(postgresUrl);
    url.pathname = '/app';
    database = new pg.Client({ connectionString: url.href });
    database.on('error', () => undefined);
    await database.connect();
    await database.query('CREATE TABLE customer (id int PRIMARY KEY, email text)');
    await database.query(
      `INSERT INTO customer SELECT id, 'person-' || id || '@example.org' FROM generate_series(1, ${VALUES}) AS id`,
    );
    await database.query(`INSERT INTO customer SELECT id FROM generate_series(${VALUES + 1}, ${ROWS}) AS id`);
    const ended = await keyturn('doctor');
    expect(ended.code).toBe(4);
    expect(ended.stdout).toMatch(/failed +record set customers: COLUMN_NOT_FOUND: .*email_enc/);
    expect(ended.stdout).not.toContain('\u001b');
  });

  it('adopts the plaintext, and again without a change', async () => {
    const counts = z.object({ columnsAdded: z.array(z.string()), sealed: z.number(), remaining: z.number() });
    expect(await json(counts, 'adopt', '--record-set', 'customers')).toEqual({
      columnsAdded: ['email_enc'],
      sealed: VALUES,
      remaining: 0,
    });
    expect(await json(counts, 'adopt', '--record-set', 'customers')).toMatchObject({
      columnsAdded: [],
      sealed: 0,
    });
    const doctor = await keyturn('doctor');
    expect(doctor).toMatchObject({ code: 0 });
    expect(doctor.stdout).toMatch(/(Nothing is wrong|Nothing failed, \d+ warnings?)\.\n$/);
  });

  it('keeps the plaintext until it is told to drop it and nothing differs', async () => {
    const dropping = ['adopt', '--record-set', 'customers', '--drop-plaintext'];
    const unasked = await keyturn(...dropping);
    expect(unasked.code).toBe(4);
    expect(unasked.stderr).toMatch(/NOT_CONFIRMED[\s\S]*--yes/);

    // What old code deletes stays deleted.
    await database.query('UPDATE customer SET email = NULL WHERE id = 5');
    const deleted = await keyturn(...dropping, '--yes');
    expect(deleted.code).toBe(4);
    expect(deleted.stderr).toMatch(/PLAINTEXT_DIFFERS: .*\["5"\].*email/);
    expect(deleted.stderr).toContain('--envelope-only-rows-ok');
    await database.query('UPDATE customer SET email_enc = NULL WHERE id = 5');

    // What it changes is sealed anew once the old envelope is gone: adopt fills only what is NULL.
    await database.query(`UPDATE customer SET email = 'changed@example.org' WHERE id = 6`);
    const changed = await keyturn(...dropping, '--yes');
    expect(changed.code).toBe(4);
    expect(changed.stderr).toMatch(/PLAINTEXT_DIFFERS: .*\["6"\].*email/);
    expect(changed.stderr).not.toContain('changed@example.org');
    await database.query('UPDATE customer SET email_enc = NULL WHERE id = 6');
    expect((await keyturn('adopt', '--record-set', 'customers')).code).toBe(0);

    const ended = await json(
      z.object({ dropped: z.array(z.string()), verified: z.number() }),
      ...dropping,
      '--yes',
    );
    expect(ended.dropped).toEqual(['email']);
    expect(ended.verified).toBeGreaterThanOrEqual(ROWS);
    const { rows } = await database.query('SELECT * FROM customer LIMIT 1');
    expect(Object.keys(rows[0])).toEqual(['id', 'email_enc']);
  });

  it('rotates, counts, and refuses the purge while the grace lasts', async () => {
    const { answer, job } = await json(jobSchema, 'rotate', '--tenant', 'acme');
    expect({ answer, status: job.status, from: job.from, to: job.to }).toEqual({
      answer: 'started',
      status: 'COMPLETED',
      from: 1,
      to: 2,
    });
    expect(job.progress).toMatchObject({ rewrapped: VALUES - 1, quarantined: 0, remaining: 0 });
    expect(job.census).toEqual({ stale: 0 });

    const refused = await keyturn('purge', '--tenant', 'acme', '--version', '1', '--yes', '--json');
    expect(refused.code).toBe(4);
    expect(lastLine(errorSchema, refused).error).toMatchObject({ code: 'PURGE_REFUSED' });
    expect(refused.stderr).toContain('is in its grace until');

    const census = await json(censusSchema, 'census', '--tenant', 'acme', '--expect-only-active');
    expect(census).toMatchObject({ active: 2, onlyActive: true, stale: 0 });
    expect(census.coverage['customers']).toMatchObject({
      rows: ROWS,
      values: VALUES - 1,
      versions: { 2: VALUES - 1 },
    });
  });

  it('answers with the rotation that runs; Ctrl-C ends the watching, not the rotation', async () => {
    // It takes a minute, on the fastest machine too.
    const watching = start('rotate', '--tenant', 'acme', '--records-per-second', '2');
    const begun = new Promise((resolve) => watching.stderr.once('data', resolve));
    const watched = ending(watching);
    await Promise.race([begun, watched]);
    const { answer, job } = await json(jobSchema, 'rotate', '--tenant', 'acme', '--no-wait');
    expect(answer).toBe('running');
    expect(job.status).not.toBe('COMPLETED');

    watching.kill('SIGINT');
    const ended = await watched;
    expect(ended.code).toBe(130);
    expect(ended.stderr).toMatch(/INTERRUPTED: "rotate acme.*still going on[\s\S]*keyturn status --watch/);
    expect(ended.stdout + ended.stderr).not.toContain('\u001b');

    expect(await keyturn('limit', '--tenant', 'acme', '--records-per-second', 'none')).toMatchObject({
      code: 0,
    });
    const key = await eventually(async () => {
      const found = await json(keySchema, 'keys', 'show', '--tenant', 'acme');
      return found.rotationId === null ? found : null;
    }, 'the end of the rotation that nobody watches');
    expect(key.active).toBe(3);
    const status = await json(
      z.object({ jobs: z.array(z.object({ jobId: z.string(), status: z.string() })) }),
      'status',
    );
    expect(status.jobs).toContainEqual({ jobId: job.jobId, status: 'COMPLETED' });
  });

  it('purges when the grace is over, and says what still holds the key', async () => {
    const { versions } = await json(keySchema, 'keys', 'show', '--tenant', 'acme');
    const due = versions.find(({ version }) => version === 1)?.purgeNotBefore ?? '';
    await sleep(Math.max(0, Date.parse(due) - Date.now()) + 100);
    const waiting = await keyturn('purge', '--tenant', 'acme', '--version', '1', '--yes');
    expect(waiting.code).toBe(4);
    expect(waiting.stdout).toMatch(/Not destroyed yet: 0 of 2 approvals\.\n[\s\S]*stays DESTROY_PENDING/);
    const { requests } = await json(requestsSchema, 'approvals', 'list');
    const requestId = requests.find(({ version }) => version === 1)?.requestId ?? '';
    expect(waiting.stdout).toContain(`keyturn approve ${requestId} --as <name> --key-file <file>`);

    const approve = (name: string, key: string) =>
      keyturn('approve', requestId, '--as', name, '--key-file', `${key}.key`, '--yes');
    const first = await approve('alice', 'alice');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toContain('Approved by 1 of 2:');
    for (const [name, key] of [
      ['alice', 'alice'],
      ['bob', 'alice'],
      ['carol', 'carol'],
    ] as const) {
      const refused = await approve(name, key);
      expect(refused.code, name).toBe(4);
      expect(refused.stderr, name).toContain('APPROVAL_REFUSED');
    }
    const ended = await approve('bob', 'bob');
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stdout).toMatch(/Version 1 of acme is destroyed/);
    const show = await keyturn('approvals', 'show', requestId);
    expect(show.stdout).toMatch(/alice at .*signature verified\n {2}bob at .*signature verified/);
    expect(show.stdout).toContain('it was used for version 1');
    const again = await keyturn('purge', '--tenant', 'acme', '--version', '1', '--yes');
    expect(again).toMatchObject({ code: 0 });
    expect(again.stdout).toContain('Version 1 of acme is already destroyed');
    expect(ended.stdout).toMatch(/has no backups of its own; .*compacted/);
    const key = await json(keySchema, 'keys', 'show', '--tenant', 'acme');
    expect(key.versions.map(({ version, state }) => [version, state])).toEqual([
      [1, 'DESTROYED'],
      [2, expect.stringMatching(/^(RETIRING|DESTROY_PENDING|DESTROYED)$/)],
      [3, 'ACTIVE'],
    ]);
  });

  it('takes a census that read nothing for no proof', async () => {
    const spare = ['--tenant', 'acme', '--purpose', 'spare'];
    expect((await keyturn('keys', 'create', ...spare)).code).toBe(0);
    const [plain, expecting] = await Promise.all([
      keyturn('census', ...spare),
      keyturn('census', ...spare, '--expect-only-active'),
    ]);
    expect(plain.code).toBe(0);
    expect(plain.stdout).not.toContain('Nothing but the active version');
    expect(expecting.code).toBe(4);
    expect(expecting.stdout).toContain('nothing was read');
    expect(expecting.stdout).not.toContain('Nothing but the active version');
  });

  it.concurrent.each([
    ['KEY_NOT_FOUND', 3, ['rotate', '--tenant', 'nobody']],
    ['KEY_NOT_FOUND', 3, ['census', '--tenant', 'nobody']],
    ['RECORD_SET_NOT_FOUND', 3, ['adopt', '--record-set', 'nothing']],
    ['VERSION_NOT_FOUND', 3, ['purge', '--tenant', 'acme', '--version', '9', '--yes']],
    ['PURGE_REFUSED', 4, ['purge', '--tenant', 'acme', '--version', '3', '--yes']],
    ['USAGE', 2, ['rotat', '--tenant', 'acme']],
  ] as const)('answers %s with exit code %i', async (code, exit, args) => {
    const ended = await keyturn(...args, '--json');
    expect(ended.code).toBe(exit);
    expect(lastLine(errorSchema, ended).error.code).toBe(code);
    expect(ended.stderr).toContain(`keyturn: ${code}: `);
  });

  it('stops, and nothing is left running', async () => {
    await database.end();
    expect(await json(z.object({ status: z.string() }), 'local', 'stop')).toEqual({ status: 'stopped' });
    expect(await json(z.object({ status: z.string() }), 'local', 'stop')).toEqual({ status: 'not-running' });
    const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'command=']);
    expect(stdout.split('\n').filter((command) => command.includes(dir))).toEqual([]);
  });
});
