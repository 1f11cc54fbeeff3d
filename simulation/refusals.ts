import type { LedgerStore } from '../shared/audit/outbox.ts';
import { KeyturnError } from '../shared/errors/errors.ts';
import type { Ledger } from '../shared/ledger/ledger.ts';
import type { AdoptableStore, RecordKey, ReplaceOutcome } from '../shared/records/record-store.ts';
import type { History } from './history.ts';

/** Tells the history of writes that were refused: nothing else of them is to be seen there. */

interface Told {
  readonly history: History;
  /** The process that a call's effect happens for. */
  readonly acting: { readonly by: string };
}

export function tellRefusal(history: History, where: string, code: string, by: string): void {
  history.add({ kind: 'refused', what: 'write', where, code, by });
}

/** A record store as it is for the pipeline. */
export function storeTelling(store: AdoptableStore, { history, acting }: Told): AdoptableStore {
  const tell = ({ key }: { readonly key: RecordKey }, code: string) =>
    tellRefusal(history, `${store.recordSet} ${key.join('/')}`, code, acting.by);
  const telling = async <T extends { readonly key: RecordKey }>(
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
    replace: (changes, notAfter) => telling(changes, () => store.replace(changes, notAfter)),
    replaceFrames: (changes, notAfter) => telling(changes, () => store.replaceFrames(changes, notAfter)),
  };
}

/** Of keys and jobs, which are what several processes change at once. */
export function ledgerTelling(ledger: LedgerStore, told: Told): LedgerStore {
  return {
    ...ledger,
    ...writesTelling(ledger, told),
    leaving(...args) {
      const leaving = ledger.leaving(...args);
      const writes = writesTelling(leaving, told);
      // One of its many methods is called: they are not copied for it.
      return new Proxy(leaving, {
        get: (of, name) => Reflect.get(Object.hasOwn(writes, name) ? writes : of, name),
      });
    },
  };
}

function writesTelling(
  ledger: Pick<Ledger, 'replaceKey' | 'replaceJob'>,
  { history, acting }: Told,
): Pick<Ledger, 'replaceKey' | 'replaceJob'> {
  const telling = async (where: string, write: () => Promise<void>): Promise<void> => {
    try {
      await write();
    } catch (error) {
      if (error instanceof KeyturnError) tellRefusal(history, where, error.code, acting.by);
      throw error;
    }
  };
  return {
    replaceKey: (key, ...more) => telling(`key ${key.keyId}`, () => ledger.replaceKey(key, ...more)),
    replaceJob: (job, ...more) => telling(`job ${job.jobId}`, () => ledger.replaceJob(job, ...more)),
  };
}
