import { createHash } from 'node:crypto';
import type { ReadEntry } from '../entries.ts';
import { isGone } from '../items.ts';
import { sameBytes } from '../parts.ts';
import { type Row, rowName } from '../records.ts';
import type { MakeRule } from '../rule.ts';

/** What an application has read it can open, or is told that something is out of reach for now: never that it does not fit. */

/** Another try may succeed: allowed where a fault was that says so, and not for ever after the last one. */
const TRANSIENT = [
  'KEY_UNAVAILABLE',
  'LEDGER_UNAVAILABLE',
  'PROVIDER_UNAVAILABLE',
  'PROVIDER_THROTTLED',
  'STORE_UNAVAILABLE',
  'STORE_BUSY',
  'STORE_THROTTLED',
  'STORE_FAILED',
];
/** What an application's key or record is read from. */
const OUT_OF_REACH = /^(kms|ledger|store|serialization)-/;
/** Allowed where a root key cannot be used, or could not a moment ago. */
const ROOT_KEY = [
  'PROVIDER_DENIED',
  'ROOT_KEY_DISABLED',
  'ROOT_KEY_NOT_FOUND',
  'ROOT_KEY_PENDING_DELETION',
  'ROOT_KEY_PENDING_IMPORT',
];
/** Faults by which a provider refuses a version whose root key can be used. */
const REFUSALS = ['kms-one-version-fails', 'grant-revoked'];
/** Allowed where the version is suspended, or was a moment ago. */
const SUSPENDED = 'VERSION_STATE';
/** Allowed as long as there are two releases: a newer one wrote the key. */
const UNREADABLE = 'LEDGER_ITEM_INVALID';

export const reads: MakeRule = (book, find) => {
  /** Also of rows that are gone by now. */
  const tenants = new Map<string, string>();
  /** By key and version: when it was resumed last. */
  const resumed = new Map<string, number>();
  const frozen = new Set<string>();
  let failed = false;
  let deploying = false;
  let quiet = Number.POSITIVE_INFINITY;

  /** What was asked before faults stopped may be told a while later; by whoever was frozen in between, hours later. */
  function mayPass(at: number, by: string): boolean {
    if (book.unusable.size > 0 || book.usableAgain.size > 0) return true;
    const late = at - book.milliseconds('cacheCeilingSeconds') - book.milliseconds('clockSkewSeconds');
    return failed && (late <= quiet || frozen.has(by));
  }

  function isExcused(
    code: string,
    { at, envelope, by }: ReadEntry & { readonly at: number },
    row: Row | null,
  ): boolean {
    if (TRANSIENT.includes(code)) return mayPass(at, by);
    if (code === UNREADABLE) return deploying;
    const named = book.opener.parse(envelope);
    const version = named === null ? undefined : book.keys.get(named.keyId)?.versions.get(named.version);
    if (named === null || version === undefined) return false;
    // What it says was so when it asked, and it may cache that.
    const since = at - book.milliseconds('cacheCeilingSeconds') - book.milliseconds('clockSkewSeconds');
    if (code === SUSPENDED)
      return (
        version.state === 'SUSPENDED' || (resumed.get(`${named.keyId}/${named.version}`) ?? since) > since
      );
    if (ROOT_KEY.includes(code)) {
      const rootKeyId = version.rootKeyId ?? '';
      const trouble = book.unusable.has(rootKeyId) || (book.usableAgain.get(rootKeyId) ?? since) > since;
      return trouble || REFUSALS.some((fault) => book.faults.has(fault));
    }
    // It held what it had read for so long that the record is on another version by now, and this one is destroyed.
    const stands = row?.values.some(({ bytes }) => sameBytes(bytes, envelope)) ?? false;
    return code === 'VERSION_DESTROYED' && isGone(version) && !stands;
  }

  function see(entry: ReadEntry & { readonly at: number }): void {
    const { recordSet, id, field, envelope, code, digest, by } = entry;
    const name = rowName(recordSet, id);
    const tenant = tenants.get(name) ?? '';
    const opened = book.opener.open(envelope, { tenant, recordSet, id, field });
    const what = `${by} read ${recordSet} ${id.join('/')} ${field}`;
    if (code === null) {
      if (opened === null) find('2', `${what}, and opened what does not open`);
      else if (createHash('sha256').update(opened).digest('hex') !== digest)
        find('2', `${what}, and got another plaintext`);
    } else if (opened !== null && !isExcused(code, entry, book.records.live.get(name) ?? null))
      find('2', `${what}, which opens, and was told ${code}`);
  }

  return {
    record({ row: { after } }) {
      if (after !== null) tenants.set(rowName(after.recordSet, after.id), after.tenant);
    },
    key({ entry: { at }, before, after }) {
      for (const { version, state } of after.versions.values()) {
        if (state !== 'SUSPENDED' && before?.versions.get(version)?.state === 'SUSPENDED')
          resumed.set(`${after.keyId}/${version}`, at);
      }
    },
    entry(entry) {
      if (entry.kind === 'read') see(entry);
      else if (entry.kind === 'quiet') quiet = entry.at;
      else if (entry.kind === 'deployment') deploying = entry.phase !== 'done';
      else if (entry.kind === 'fault') {
        failed ||= OUT_OF_REACH.test(entry.fault);
        if (entry.fault === 'frozen-application') frozen.add(entry.where);
      }
    },
  };
};
