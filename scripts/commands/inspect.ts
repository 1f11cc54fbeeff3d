import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { z } from 'zod';
import { inspect, readTombstone, type Tombstone } from '../../shared/envelope/index.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { CliError } from '../cli/cli-error.ts';
import { type Cli, defineCommand, option } from '../cli/command.ts';
import { envelopeBytes } from '../cli/envelope-bytes.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { shownError } from '../cli/failures.ts';
import { time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import type { Output } from '../cli/output.ts';
import { openSession } from '../cli/session.ts';

export const inspectEnvelope = defineCommand({
  name: 'inspect',
  summary: 'Show what an envelope says of itself',
  details:
    'Prints key id, version, algorithms and lengths, read without any key; nothing is decrypted and nothing proved.\n' +
    'When a ledger is reachable, also whose key it is and the state of the version. Takes the bytes, base64url text, or\n' +
    'hexadecimal as PostgreSQL prints it (\\x…). Of a tombstone: which value was given up, when and by which request.',
  json: '{keyId, version, kid, contentAlgorithm, keyWrapAlgorithm, plaintextLength, length, ledger: {tenant, purpose, state} | {found: false} | {unreachable: code}}; of a tombstone {tombstone: {keyId, version, at, requestId}}',
  arguments: [{ name: '[file]', description: 'A file with one envelope; - for standard input' }],
  options: [option('--text <envelope>', 'The envelope itself, as base64url or \\x… text')],
  examples: [
    { line: 'keyturn inspect envelope.bin', says: 'of a file' },
    {
      line: "psql -Atc 'SELECT email_encrypted FROM customer LIMIT 1' | keyturn inspect -",
      says: 'of a row',
    },
  ],
  input: z.object({ file: z.string().optional(), text: z.string().optional() }),
  run: async ({ file, text }, cli) => {
    if ((file === undefined) === (text === undefined)) {
      throw new CliError('USAGE', 'Name a file (or - for standard input), or give the envelope with --text');
    }
    const bytes = envelopeBytes(text === undefined ? await readInput(file ?? '-') : Buffer.from(text));
    const tombstone = readTombstone(bytes);
    if (tombstone !== null) return showTombstone(cli.out, tombstone);
    const info = inspect(bytes);
    const ledger = await lookUp(cli, info.keyId, info.version);
    const { out } = cli;
    out.line(`key              ${info.keyId}`);
    out.line(`version          ${info.version}`);
    out.line(`content          ${info.contentAlgorithm}, ${info.plaintextLength} bytes of plaintext`);
    out.line(`data key under   ${info.keyWrapAlgorithm}`);
    out.line(`envelope         ${info.length} bytes`);
    out.line(`ledger           ${ledgerWords(ledger)}`);
    out.result({ ...info, kid: Buffer.from(info.kid).toString('hex'), ledger });
    return EXIT_CODES.done.code;
  },
});

/** Nothing is wrong: it says what it is. */
function showTombstone(out: Output, tombstone: Tombstone): number {
  const { keyId, version, at, requestId } = tombstone;
  out.line('a tombstone      the value was given up; its bytes are kept nowhere');
  out.line(`key              ${keyId}`);
  out.line(`version          ${version ?? 'could not be told'}`);
  out.line(`given up         ${time(at)}`);
  out.line(`request          ${requestId ?? 'no approvals were required'}`);
  out.result({ tombstone });
  return EXIT_CODES.done.code;
}

async function readInput(file: string): Promise<Buffer> {
  try {
    return file === '-' ? await buffer(process.stdin) : await readFile(file);
  } catch (cause) {
    throw new CliError('INPUT_NOT_FOUND', `${file} cannot be read`, { cause });
  }
}

type Lookup =
  | { readonly tenant: string; readonly purpose: string; readonly state: string | null }
  | { readonly found: false }
  | { readonly unreachable: string };

/** An envelope can be looked at anywhere; a ledger only adds to it. */
async function lookUp(cli: Cli, keyId: string, version: number): Promise<Lookup> {
  try {
    const { deps } = await openSession(cli);
    try {
      let leftOut = false;
      const keys = await deps.ledger.listKeys(() => {
        leftOut = true;
      });
      const key: TenantKey | undefined = keys.find((each) => each.keyId === keyId);
      // It may be the one that could not be verified.
      if (key === undefined) return leftOut ? { unreachable: 'STATE_FORGED' } : { found: false };
      const { tenant, purpose } = key;
      return { tenant, purpose, state: key.versions[String(version)]?.state ?? null };
    } finally {
      await deps.close();
    }
  } catch (error) {
    return { unreachable: shownError(error).code };
  }
}

function ledgerWords(ledger: Lookup): string {
  if ('unreachable' in ledger) return `not reachable (${ledger.unreachable})`;
  if ('found' in ledger) return 'has no such key';
  return `the key of ${keyName(ledger)}; this version ${ledger.state === null ? 'does not exist' : `is ${ledger.state}`}`;
}
