import { createCipheriv, createSecretKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { encode } from 'cbor2';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  createKek,
  fromText,
  MAX_ENVELOPE_LENGTH,
  MAX_PLAINTEXT_LENGTH,
  MIN_ENVELOPE_LENGTH,
  makeTombstone,
  open,
  rewrap,
  seal,
  toText,
} from '../../../shared/envelope/index.ts';
import { hex, unhex } from './fixtures.ts';

const page = readFileSync(new URL('../../../docs/envelope.md', import.meta.url), 'utf8');
const block = /```worked-example\n(.*?)```/s.exec(page)?.[1] ?? '';
const lines = new Map(
  block
    .trim()
    .split('\n')
    .map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
);

function value(name: string): string {
  const text = lines.get(name);
  if (text === undefined) throw new Error(`the worked example has no ${name}`);
  return text;
}

const bytes = (name: string) => unhex(value(name).replaceAll(' ', ''));
const [tenant, recordSet, recordId, field] = z
  .tuple([z.string(), z.string(), z.array(z.string()), z.string()])
  .parse(JSON.parse(value('context')));
const context = { tenant, recordSet, recordId, field };
const kek = createKek({ keyId: value('keyId'), version: Number(value('version')), key: bytes('kek') });

describe('the worked example of docs/envelope.md', () => {
  it('follows from the standards alone', () => {
    expect(hex(encode([tenant, recordSet, recordId, field]))).toBe(hex(bytes('externalAad')));
    expect(hex(encode(['Encrypt', unhex('a10103'), bytes('externalAad')]))).toBe(hex(bytes('aad')));
    const gcm = createCipheriv('aes-256-gcm', createSecretKey(bytes('dek')), bytes('iv')).setAAD(
      bytes('aad'),
    );
    const content = Buffer.concat([gcm.update(bytes('plaintext')), gcm.final(), gcm.getAuthTag()]);
    expect(hex(content)).toBe(hex(bytes('ciphertext')));
    const wrap = createCipheriv('id-aes256-wrap', createSecretKey(bytes('kek')), Buffer.alloc(8, 0xa6));
    expect(hex(wrap.update(bytes('dek')))).toBe(hex(bytes('wrappedDek')));
    const parts = [
      'd8608443a10103a1054c',
      'iv',
      '581f',
      'ciphertext',
      '818340a201240454',
      'kid',
      '5828',
      'wrappedDek',
    ];
    expect(parts.map((part) => (lines.has(part) ? hex(bytes(part)) : part)).join('')).toBe(
      hex(bytes('envelope')),
    );
  });

  it('is what the library does', () => {
    const random = Uint8Array.of(...bytes('dek'), ...bytes('iv'));
    const envelope = seal(bytes('plaintext'), kek, context, (buffer) => buffer.set(random));
    expect(hex(envelope)).toBe(hex(bytes('envelope')));
    expect(hex(kek.kid)).toBe(hex(bytes('kid')));
    expect(open(bytes('envelope'), kek, context)).toEqual(bytes('plaintext'));
    expect(toText(envelope)).toBe(value('text'));
    expect(fromText(value('text'))).toEqual(envelope);
    const to = createKek({ keyId: kek.keyId, version: Number(value('newVersion')), key: bytes('newKek') });
    expect(hex(rewrap(envelope, kek, to))).toBe(hex(bytes('rewrapped')));
  });
});

describe('the tables of docs/envelope.md', () => {
  const envelope = bytes('envelope');
  const [before = '', after = ''] = page.split('## Tombstones');
  const rowsOf = (text: string) => [...text.matchAll(/^\| (−?\d+) \| (\d+) \| `([0-9a-f ]+)` \|/gm)];
  const expectRows = (text: string, value: Uint8Array, count: number) => {
    const rows = rowsOf(text);
    expect(rows).toHaveLength(count);
    for (const [, offset = '', length, shown = ''] of rows) {
      const at = Number(offset.replace('−', '-'));
      const start = at < 0 ? value.length + at : at;
      expect(hex(value.subarray(start, start + Number(length)))).toBe(shown.replaceAll(' ', ''));
    }
  };

  it('show the fixed bytes where they are', () => {
    expectRows(before, envelope, 8);
  });

  it('show those of a tombstone, and how SQL tells one', () => {
    const stone = makeTombstone({
      ...{ keyId: value('keyId'), version: 3, at: '2026-01-31T12:00:00.000Z' },
      requestId: Buffer.alloc(32, 7).toString('base64url'),
    });
    expectRows(after, stone, 6);
    expect([stone.length, toText(stone).length]).toEqual([102, 136]);
    const [, prefix = ''] = /starts_with\(encode\(v, 'hex'\), '([0-9a-f]+)'\)/.exec(after) ?? [];
    const [, text = ''] = /starts_with\(v, '([\w-]+)'\)/.exec(after) ?? [];
    expect(hex(stone)).toMatch(new RegExp(`^${prefix}`));
    expect(toText(stone).startsWith(text)).toBe(true);
    expect([prefix.length, text.length]).toEqual([42, 28]);
  });

  it('say how much longer an envelope is', () => {
    expect([MIN_ENVELOPE_LENGTH, MAX_ENVELOPE_LENGTH - MAX_PLAINTEXT_LENGTH]).toEqual([109, 113]);
    expect(page).toContain('109 bytes longer');
    expect(page).toContain('113 at the most');
  });
});
