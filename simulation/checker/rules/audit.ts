import { canonicalText, digestOfText } from '../canonical.ts';
import { numberOf, type Parts, partsOf, textOf, textOrNull } from '../parts.ts';
import type { MakeRule } from '../rule.ts';

/** Every change of state has its entry in the tenant's chain, in order, and the chain has no gap and no link that is not one. */

interface Chain {
  readonly hashes: string[];
  /** Of each entry what is hashed: its canonical JSON without the hash. */
  readonly texts: string[];
  /** Sequence by event. */
  readonly places: Map<string, number>;
}

/** Of restores, which are no single tenant's. */
const SERVICE = '';
/** A crash leaves an entry to the next change of its item or to the hourly export. */
const PATIENCE = 3 * 3_600_000;

export const audit: MakeRule = (book, find) => {
  const chains = new Map<string, Chain>();
  const due: { readonly tenant: string; readonly eventId: string; readonly at: number }[] = [];
  /** By key, job or restore: its last revision that the chain tells of. */
  const told = new Map<string, number>();

  function chainOf(tenant: string): Chain {
    const known = chains.get(tenant) ?? { hashes: [], texts: [], places: new Map() };
    chains.set(tenant, known);
    return known;
  }

  function seeEntry(value: unknown): void {
    const entry = partsOf(value);
    const tenant = textOf(entry['tenant']);
    const sequence = numberOf(entry['sequence']);
    const eventId = textOf(entry['eventId']);
    const chain = chainOf(tenant);
    const name = `entry ${sequence} of the chain of "${tenant}"`;
    if (sequence !== chain.hashes.length + 1) find('26', `${name} comes after ${chain.hashes.length}`);
    if (textOrNull(entry['previous']) !== (chain.hashes.at(-1) ?? null))
      find('26', `${name} does not follow on the one before`);
    const { hash: _, ...rest } = entry;
    const text = canonicalText(rest);
    if (digestOfText(text) !== entry['hash']) find('26', `${name} is not what its hash says`);
    if (chain.places.has(eventId)) find('26', `${name} says ${eventId} once more`);
    chain.hashes.push(textOf(entry['hash']));
    chain.texts.push(text);
    chain.places.set(eventId, sequence);
    checkOrder(eventId, name);
  }

  function checkOrder(eventId: string, name: string): void {
    const [, item, text] = /^((?:key|job|restore)\/.+)\/([0-9]+)$/.exec(eventId) ?? [];
    if (item === undefined) return;
    const revision = Number(text);
    const before = told.get(item) ?? 0;
    if (revision !== before + 1) find('26', `${name} tells of ${item} revision ${revision} after ${before}`);
    told.set(item, revision);
  }

  function seeItem(item: string, value: Parts, at: number): void {
    const requestId = textOf(value['requestId']);
    const request = book.requests.get(requestId)?.tenant ?? '';
    if (item === 'approvalRequests')
      due.push({ tenant: textOf(value['tenant']), eventId: `approval-request/${requestId}`, at });
    else if (item === 'approvals')
      due.push({ tenant: request, eventId: `approval/${requestId}/${textOf(value['approver'])}`, at });
    else if (item === 'approvalVoids')
      due.push({ tenant: request, eventId: `approval-void/${requestId}`, at });
    else if (item === 'kept')
      due.push({ tenant: textOf(value['tenant']), eventId: `census/${textOf(value['censusId'])}`, at });
    else if (item === 'certificates') {
      const eventId = `certificate/${textOf(value['keyId'])}/${numberOf(value['version'])}`;
      due.push({ tenant: textOf(value['tenant']), eventId, at });
    }
  }

  function seeSegment(name: string, bytes: Uint8Array): void {
    for (const line of Buffer.from(bytes).toString('utf8').split('\n')) {
      if (line === '') continue;
      const entry = readLine(line);
      const hash = textOf(entry['hash']);
      const unhashed = line.replace(`"hash":${JSON.stringify(hash)},`, '');
      const chain = chains.get(textOf(entry['tenant']));
      const index = numberOf(entry['sequence']) - 1;
      if (hash !== chain?.hashes[index] || unhashed !== chain.texts[index])
        find('26', `${name} holds what is not in the chain`);
    }
  }

  return {
    key({ entry: { at }, before, after: { tenant, keyId, revision } }) {
      if (revision !== before?.revision) due.push({ tenant, eventId: `key/${keyId}/${revision}`, at });
    },
    job({ entry: { at }, after: { tenant, jobId, revision } }) {
      due.push({ tenant, eventId: `job/${jobId}/${revision}`, at });
    },
    restore({ entry: { at }, after: { restoreId, revision } }) {
      due.push({ tenant: SERVICE, eventId: `restore/${restoreId}/${revision}`, at });
    },
    entry(entry) {
      if (entry.kind === 'archived' && entry.name.endsWith('.jsonl')) seeSegment(entry.name, entry.bytes);
      if (entry.kind !== 'item') return;
      if (entry.item === 'audit') {
        if (entry.value === null) find('26', `an entry of a chain was deleted by ${entry.by}`);
        else seeEntry(entry.value);
      } else if (entry.value !== null) seeItem(entry.item, partsOf(entry.value), entry.at);
    },
    end(last) {
      for (const { tenant, eventId, at } of due) {
        if (last.at - at > PATIENCE && !chainOf(tenant).places.has(eventId))
          find('26', `${eventId} is in no chain, ${Math.round((last.at - at) / 1000)} s later`);
      }
    },
  };
};

function readLine(line: string): Parts {
  try {
    return partsOf(JSON.parse(line));
  } catch {
    return {};
  }
}
