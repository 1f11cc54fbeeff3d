import { SERVICE } from '../../shared/audit/outbox.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { RecordFence } from '../../shared/records/record-store.ts';
import { isFenceDue, raiseFences } from '../../shared/rotation/fences.ts';
import { CliError } from './cli-error.ts';
import { mapConcurrently } from './concurrent.ts';
import { counted } from './format.ts';

/** The writers' fences of the record sets, and what they are told of the keys. */

export interface FencedSet {
  readonly recordSet: string;
  readonly table: string;
  /** null: its store has none to offer. */
  readonly fence: RecordFence | null;
}

/** The one that is named, or all. Throws RECORD_SET_NOT_FOUND, and FENCE_NOT_OFFERED for one that is named. */
export function selectFences(deps: Pick<Deps, 'recordSets'>, recordSet: string | undefined): FencedSet[] {
  const names = recordSet === undefined ? deps.recordSets.names : [recordSet];
  return names.map((name) => {
    const { table } = deps.recordSets.config(name);
    const { fence } = deps.recordSets.store(name);
    if (fence === null && recordSet !== undefined) {
      throw new CliError(
        'FENCE_NOT_OFFERED',
        `Record set "${name}" is on DynamoDB, which has no fence to offer`,
        {
          remedy: 'The propagation barrier alone holds its writers off; docs/retirement.md says how.',
        },
      );
    }
    return { recordSet: name, table, fence };
  });
}

/** For a command that changes something: all only when it is said. */
export function selectNamed(
  deps: Pick<Deps, 'recordSets'>,
  { recordSet, all }: { readonly recordSet?: string | undefined; readonly all: boolean },
): FencedSet[] {
  if ((recordSet !== undefined) === all) throw new CliError('USAGE', 'Name a --record-set, or say --all');
  return selectFences(deps, recordSet);
}

type Fenced = Pick<FencedSet, 'recordSet' | 'table'> & { readonly fence: RecordFence };

/**
 * A table is of no single tenant: the service's audit has what is done to its trigger. What will happen is there before it
 * happens, as a database's change and an entry are two writes. False: it was there, and as it must be.
 */
export async function installFence(deps: Deps, fenced: Fenced): Promise<boolean> {
  if ((await fenced.fence.statements()).length === 0) return false;
  return recorded(deps, fenced, ['fence.install-begun', 'fence.installed'], () => fenced.fence.install());
}

/** The same. False: there was none. */
export async function removeFence(deps: Deps, fenced: Fenced): Promise<boolean> {
  if (!(await fenced.fence.isThere())) return false;
  return recorded(deps, fenced, ['fence.remove-begun', 'fence.removed'], () => fenced.fence.remove());
}

async function recorded(
  { audit, newId, recordSets }: Deps,
  { recordSet, table }: Fenced,
  [begun, done]: readonly [string, string],
  work: () => Promise<boolean>,
): Promise<boolean> {
  const id = newId();
  const detail = { recordSet, store: recordSets.config(recordSet).store, table };
  await audit.record(SERVICE, { eventId: `${begun}/${id}`, type: begun, detail });
  const changed = await work();
  if (changed) await audit.record(SERVICE, { eventId: `${done}/${id}`, type: done, detail });
  return changed;
}

export interface FenceFinding {
  readonly recordSet: string;
  readonly status: 'holds' | 'broken' | 'not installed' | 'not offered';
  readonly problems: readonly string[];
  /** Keys whose minimum is their active version. */
  readonly keys: number;
  /** Keys whose writers may still hold the version before, or whose store is being restored. */
  readonly waiting: number;
}

/** Compares what is installed with what this release installs, and the minimums with the keys. */
export async function checkFence(
  deps: Deps,
  { recordSet, fence }: FencedSet,
  keys: readonly TenantKey[],
): Promise<FenceFinding> {
  const none = { recordSet, problems: [], keys: 0, waiting: 0 };
  if (fence === null) return { ...none, status: 'not offered' };
  const state = await fence.check();
  if (!state.installed) return { ...none, status: 'not installed' };
  const served = keys.filter(({ tenant, purpose }) =>
    deps.recordSets.ofKey(tenant, purpose).includes(recordSet),
  );
  const minimums = await fence.minimums(served.map(({ keyId }) => keyId));
  const problems = [...state.problems];
  let current = 0;
  let waiting = 0;
  for (const key of served) {
    const minimum = minimums.get(key.keyId) ?? 1;
    const name = `${key.tenant}/${key.purpose}`;
    if (minimum > key.active && key.active > 0) {
      problems.push(`it refuses the active version of ${name}: ${key.active}, below its minimum ${minimum}`);
    } else if (minimum >= key.active) current += 1;
    else if (!isFenceDue(key, deps.clock.now(), deps.config)) waiting += 1;
    else problems.push(`it takes version ${minimum} of ${name}, whose active version is ${key.active}`);
  }
  return { recordSet, status: problems.length === 0 ? 'holds' : 'broken', problems, keys: current, waiting };
}

const KEYS_AT_ONCE = 8;

/** For fences that are new, or were away: raises the minimum of every key whose writers have had their time. */
export async function raiseAll(deps: Deps): Promise<{ readonly raised: number; readonly waiting: number }> {
  const active = (await deps.ledger.listKeys()).filter((key) => key.active > 0);
  const due = active.filter((key) => isFenceDue(key, deps.clock.now(), deps.config));
  await mapConcurrently(due, KEYS_AT_ONCE, (key) => raiseFences(deps, key));
  return { raised: due.length, waiting: active.length - due.length };
}

export function keyWords({ keys, waiting }: Pick<FenceFinding, 'keys' | 'waiting'>): string {
  const wait = waiting === 0 ? '' : `; of ${counted(waiting, 'key')} older writers still have their time`;
  return `${counted(keys, 'key')} at ${keys === 1 ? 'its' : 'their'} active version${wait}`;
}
