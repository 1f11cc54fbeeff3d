import type { MakeRule } from '../rule.ts';

/** While a tenant's root key cannot be used, nothing that it wraps is destroyed; once it can, nothing stays suspended. */
export const rootKeys: MakeRule = (book, find) => {
  /** When each version was suspended last, by key and version. */
  const suspended = new Map<string, number>();
  const zombies = new Set<string>();
  return {
    entry(entry) {
      if (entry.kind === 'fault' && entry.fault === 'zombie') zombies.add(entry.where.split(' ')[0] ?? '');
    },
    key({ entry, before, after }) {
      const { at } = entry;
      for (const { version, state } of after.versions.values())
        if (state === 'SUSPENDED' && before?.versions.get(version)?.state !== 'SUSPENDED')
          suspended.set(`${after.keyId}/${version}`, at);
      // Whoever was frozen between asking and writing had asked before.
      if (before === null || (entry.kind === 'item' && zombies.has(entry.by))) return;
      const slack = book.milliseconds('maxTransactionSeconds') + book.milliseconds('clockSkewSeconds');
      for (const is of after.versions.values()) {
        const was = before.versions.get(is.version);
        if (was === undefined || was.rootKeyId === null) continue;
        if (was.destroyAuthorizedAt !== null || is.destroyAuthorizedAt === null) continue;
        const since = book.unusable.get(was.rootKeyId);
        if (since !== undefined && at - since > slack) {
          const name = `version ${is.version} of ${after.tenant}/${after.purpose}`;
          find('22', `the destruction of ${name} is decided while its root key cannot be used`);
        }
      }
    },
    end({ at }) {
      for (const { keyId, tenant, purpose, versions } of book.keys.values()) {
        for (const { version, state, rootKeyId } of versions.values()) {
          if (state !== 'SUSPENDED' || rootKeyId === null || book.unusable.has(rootKeyId)) continue;
          const since = book.usableAgain.get(rootKeyId);
          // By somebody who had looked hours before: the next daily look finds that, too.
          const late = Math.max(since ?? at, suspended.get(`${keyId}/${version}`) ?? 0);
          if (at - late > PATIENCE)
            find(
              '22',
              `version ${version} of ${tenant}/${purpose} is SUSPENDED, and its root key can be used again`,
            );
        }
      }
    },
  };
};

/** Until a reconciliation finds what no event told, twice over. */
const PATIENCE = 5 * 3_600_000;
