import { numberOf, type Parts, partsOf, textOf } from '../parts.ts';
import type { MakeRule } from '../rule.ts';

/** Each destroyed version has one certificate; it is of a version that is really destroyed, and its counts say so and sum. */
export const certificates: MakeRule = (book, find) => {
  const certified = new Set<string>();
  /** By key and version: when it was destroyed after it had been in use. */
  const destroyed = new Map<string, number>();
  let quiet = Number.NaN;

  function see(value: unknown): void {
    const item = partsOf(value);
    const keyId = textOf(item['keyId']);
    const version = numberOf(item['version']);
    const name = `the certificate of version ${version} of ${textOf(item['tenant'])}/${textOf(item['purpose'])}`;
    if (certified.has(`${keyId}/${version}`)) find('15', `${name} is the second one`);
    certified.add(`${keyId}/${version}`);
    if (book.keys.get(keyId)?.versions.get(version)?.state !== 'DESTROYED')
      find('15', `${name} is of a version that is not destroyed`);
    const said = payloadOf(textOf(item['jws']));
    if (textOf(said['keyId']) !== keyId || numberOf(said['version']) !== version)
      find('15', `${name} is of another version`);
    const census = partsOf(said['census']);
    if (census['onVersion'] !== 0)
      find('15', `${name} counts ${String(census['onVersion'])} values on the version`);
    for (const [recordSet, coverage] of Object.entries(partsOf(census['coverage'])))
      checkCounts(partsOf(coverage), version, `${name}, ${recordSet},`);
    for (const rotation of Array.isArray(said['rotations']) ? said['rotations'] : []) {
      const { planned, rewrapped, skipped, quarantined, remaining } = partsOf(partsOf(rotation)['records']);
      const sum = [rewrapped, skipped, quarantined, remaining].reduce<number>(
        (all, n) => all + numberOf(n),
        0,
      );
      if (numberOf(planned) !== sum) find('15', `${name} has a rotation whose records do not sum`);
    }
  }

  function checkCounts(coverage: Parts, version: number, name: string): void {
    const versions = partsOf(coverage['versions']);
    if ((versions[String(version)] ?? 0) !== 0) find('15', `${name} counts values on the version`);
    const sum = [
      ...Object.values(versions),
      ...['foreign', 'malformed', 'tombstones', 'others'].map((part) => coverage[part]),
    ].reduce<number>((all, n) => all + numberOf(n), 0);
    if (numberOf(coverage['values']) !== sum) find('15', `${name} has values that do not sum`);
  }

  return {
    key({ entry, before, after }) {
      for (const { version, state } of after.versions.values()) {
        const was = before?.versions.get(version)?.state;
        if (state === 'DESTROYED' && was !== 'DESTROYED' && was !== 'PRE_ACTIVE')
          destroyed.set(`${after.keyId}/${version}`, entry.at);
      }
    },
    entry(entry) {
      if (entry.kind === 'item' && entry.item === 'certificates' && entry.value !== null) see(entry.value);
      if (entry.kind === 'quiet') quiet = entry.at;
    },
    end({ at }) {
      if (Number.isNaN(quiet)) return;
      for (const [name, since] of destroyed) {
        const left = at - Math.max(since, quiet);
        if (!certified.has(name) && left > PATIENCE)
          find('15', `version ${name} is destroyed and has no certificate`);
      }
    },
  };
};

/** Until a daily sweep takes up what a crash left, by far. */
const PATIENCE = 6 * 3_600_000;

function payloadOf(jws: string): Parts {
  try {
    return partsOf(JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8')));
  } catch {
    return {};
  }
}
