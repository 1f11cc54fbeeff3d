import type { Restore, RestoreStatus } from '../../shared/rotation/restore.ts';
import type { OnProgress } from '../../shared/rotation/restore-lanes.ts';
import { count, time } from './format.ts';
import type { Output } from './output.ts';

/** A restore in words and JSON. */

export function restoreJson(restore: Restore): object {
  const { revision: _revision, ...shown } = restore;
  return shown;
}

/** When the backup was taken: from when to when, of one that has rows of all that time. */
export function backupWords({ backupTime, backupEnd }: Restore): string {
  const end = backupEnd === null || backupEnd === backupTime ? '' : ` to ${time(backupEnd)}`;
  return `${time(backupTime)}${end}`;
}

export const RESTORE_WORDS = {
  BEGUN: 'not all keys are held: do not restore yet',
  READY: 'may be carried out; `keyturn restore end` when all rows are back',
  ENDED: 'over; the sweeps of its keys free their versions',
  ABORTING: 'called off; its holds are being released',
  ABORTED: 'called off',
} as const satisfies Record<RestoreStatus, string>;

/** A line every so many keys: ten thousand take a while. */
const EVERY = 500;

export function keyProgress(out: Output, done: string): OnProgress {
  return (number, of) => {
    if (number % EVERY === 0 && number < of) out.progress(`${count(number)} of ${count(of)} keys ${done}`);
  };
}
