import { KeyturnError } from '../shared/errors/errors.ts';
import type { AdoptableStore, RecordKey, ReplaceOutcome } from '../shared/records/record-store.ts';
import type { History } from './history.ts';

/** Tells the history of writes that a store refused: nothing else of them is to be seen there. */

interface Told {
  readonly history: History;
}

export function tellRefusal({ history }: Told, where: string, code: string, by: string): void {
  history.add({ kind: 'refused', what: 'write', where, code, by });
}

/** The store as it is for the pipeline. `acting`: the process that a call's effect happens for. */
export function tellingRefusals(
  store: AdoptableStore,
  told: Told,
  acting: { readonly by: string },
): AdoptableStore {
  const tell = ({ key }: { readonly key: RecordKey }, code: string) =>
    tellRefusal(told, `${store.recordSet} ${key.join('/')}`, code, acting.by);
  const toldOf = async <T extends { readonly key: RecordKey }>(
    changes: readonly T[],
    replace: () => Promise<readonly ReplaceOutcome[]>,
  ): Promise<readonly ReplaceOutcome[]> => {
    try {
      const outcomes = await replace();
      for (const [i, change] of changes.entries()) if (outcomes[i] === 'conflict') tell(change, 'CONFLICT');
      return outcomes;
    } catch (error) {
      const [first] = changes;
      if (error instanceof KeyturnError && first !== undefined) tell(first, error.code);
      throw error;
    }
  };
  return {
    ...store,
    replace: (changes, notAfter) => toldOf(changes, () => store.replace(changes, notAfter)),
    replaceFrames: (changes, notAfter) => toldOf(changes, () => store.replaceFrames(changes, notAfter)),
  };
}
