import { createHmac, type KeyObject } from 'node:crypto';
import { canonicalText } from '../canonical.ts';
import type { Key, Version } from '../items.ts';
import type { MakeRule } from '../rule.ts';

/** One active version, allowed steps only, each commit one revision after the one before; stored and proved before it is used. */

/** ARCHITECTURE.md, "States of a key version". */
const NEXT: Readonly<Record<string, readonly string[]>> = {
  PRE_ACTIVE: ['ACTIVE', 'DESTROYED', 'COMPROMISED'],
  ACTIVE: ['RETIRING', 'SUSPENDED', 'COMPROMISED'],
  RETIRING: ['ACTIVE', 'DESTROY_PENDING', 'SUSPENDED', 'COMPROMISED'],
  SUSPENDED: ['ACTIVE', 'RETIRING', 'COMPROMISED'],
  /** SUSPENDED: called off for a root key that cannot be used, and suspended for it, in one write. */
  DESTROY_PENDING: ['RETIRING', 'DESTROYED', 'COMPROMISED', 'SUSPENDED'],
  COMPROMISED: ['DESTROY_PENDING'],
  DESTROYED: [],
};
/** Of the version that the pointer names. */
const IN_DUTY = ['ACTIVE', 'SUSPENDED', 'COMPROMISED'];

/** Of the proved KEK's bytes: HMAC-SHA-256 over this and the kid, its first 16 bytes. */
const CHECK_LABEL = 'keyturn key check v1';

export const keys: MakeRule = (book, find) => {
  function checkRevision(before: Key | null, after: Key, name: string): void {
    const expected = (before?.revision ?? 0) + 1;
    if (after.revision === expected) return;
    // What asks for a fenced version marks it, which is no change of the key.
    if (before !== null && after.revision === before.revision && isSameButCanary(before, after)) return;
    find('6', `${name} was committed as revision ${after.revision} after ${expected - 1}`);
  }

  function checkPointer({ active, versions }: Key, name: string): void {
    const actives = [...versions.values()].filter(({ state }) => state === 'ACTIVE');
    const named = versions.get(active);
    if (active !== 0 && (named === undefined || !IN_DUTY.includes(named.state)))
      find('3', `${name} points at version ${active}, which is ${named?.state ?? 'not there'}`);
    for (const { version } of actives)
      if (version !== active)
        find('3', `version ${version} of ${name} is ACTIVE, and ${active} is pointed at`);
  }

  function checkLock(before: Key | null, after: Key, name: string): void {
    const had = before?.rotationId ?? null;
    if (had !== null && after.rotationId !== null && after.rotationId !== had)
      find('6', `${name} is locked by ${after.rotationId}, and ${had} had not given it up`);
    const unused = [...after.versions.values()].filter(({ state }) => state === 'PRE_ACTIVE');
    if (unused.length > 1) find('18', `${name} has ${unused.length} versions that are PRE_ACTIVE`);
    if (unused.length > 0 && after.active !== 0 && after.rotationId === null)
      find('19', `${name} has a PRE_ACTIVE version that no rotation knows of`);
  }

  function checkNew({ version, state, provedAt }: Version, highest: number, name: string): void {
    if (version !== highest + 1) find('6', `${name} has version ${version} after ${highest}`);
    if (state !== 'PRE_ACTIVE' || provedAt !== null)
      find('4', `version ${version} of ${name} is ${state} or proved in the write that creates it`);
  }

  function checkStep(was: Version, is: Version, key: Key, name: string): void {
    const version = `version ${is.version} of ${name}`;
    if (is.createdAt !== was.createdAt) find('6', `${version} has another time of creation`);
    if (was.check !== null && is.check !== was.check) find('4', `${version} was proved with other bytes`);
    const kek = book.opener.kekOf(key.keyId, is.version);
    if (is.check !== was.check && kek !== null && is.check !== checkOf(kek, key.keyId, is.version))
      find('4', `${version} was proved with other bytes than those that are stored`);
    if (is.state === 'SUSPENDED' && was.destroyAuthorizedAt !== null)
      find('6', `${version} is suspended though its destruction was decided`);
    if (was.provedAt !== null && is.provedAt !== was.provedAt) find('4', `${version} was proved once more`);
    if (was.state === is.state) {
      if (is.rootKeyId === null && was.rootKeyId !== null) find('6', `${version} is erased and ${is.state}`);
      return;
    }
    if (NEXT[was.state]?.includes(is.state) !== true)
      find('6', `${version} went from ${was.state} to ${is.state}`);
    if (is.state === 'ACTIVE' && was.provedAt === null)
      find('4', `${version} is ACTIVE and was not proved before`);
    if (was.state === 'SUSPENDED' && is.state === 'RETIRING' && key.active === is.version)
      find('6', `${version} is resumed as another state than it had`);
    if (is.state === 'DESTROYED' && was.state !== 'PRE_ACTIVE' && was.destroyAuthorizedAt === null)
      find('6', `${version} is DESTROYED, which no write before had decided`);
    if (is.state === 'DESTROYED' && is.rootKeyId !== null)
      find('6', `${version} is DESTROYED and not erased`);
  }

  return {
    key({ before, after }) {
      const name = `${after.tenant}/${after.purpose}`;
      checkRevision(before, after, name);
      checkPointer(after, name);
      if (before !== null && after.active === 0 && before.active !== 0)
        find('3', `${name} has no active version any more`);
      if (before !== null && after.restoreEpoch < before.restoreEpoch)
        find('9', `the restore epoch of ${name} went back to ${after.restoreEpoch}`);
      for (const version of before?.versions.keys() ?? [])
        if (!after.versions.has(version)) find('6', `version ${version} of ${name} is in the key no more`);
      checkLock(before, after, name);
      const highest = Math.max(0, ...(before?.versions.keys() ?? []));
      for (const version of after.versions.values()) {
        const was = before?.versions.get(version.version);
        if (was === version) continue;
        if (was === undefined) checkNew(version, highest, name);
        else checkStep(was, version, after, name);
      }
    },
  };
};

function isSameButCanary(a: Key, b: Key): boolean {
  return canonicalText({ ...a.whole, canary: null }) === canonicalText({ ...b.whole, canary: null });
}

function checkOf(kek: KeyObject, keyId: string, version: number): string {
  const kid = Buffer.alloc(20);
  kid.write(keyId.replaceAll('-', ''), 'hex');
  kid.writeUInt32BE(version, 16);
  const mac = createHmac('sha256', kek).update(CHECK_LABEL).update(kid).digest();
  return mac.subarray(0, 16).toString('base64url');
}
