import type { KeyVersion, TenantKey } from '../../shared/keyring/key.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import type { HistoryEntry } from '../history.ts';
import type { Known } from './known.ts';

/**
 * Something that a run of many seeds is to come to, or it has not tried what is interesting: what several things at once
 * make of a key, a job or a record. It is read off the history alone.
 */
export interface Situation {
  readonly name: string;
  /** In one line, for people. */
  readonly means: string;
  /** In so many seeds or more it is seen; in fewer it may be chance that it is not. */
  readonly within: number;
  readonly seen: Seen;
}

/**
 * Each is asked about entries of its kind, with what is known of all entries before: whether this one brings the situation
 * about. Pure.
 */
export interface Seen {
  key?(change: KeyChange, known: Known): boolean;
  job?(change: JobChange, known: Known): boolean;
  restore?(change: RestoreChange, known: Known): boolean;
  /** Every other entry. */
  entry?(entry: HistoryEntry, known: Known): boolean;
}

export type RecordEntry = Extract<HistoryEntry, { kind: 'record' }>;
export type ItemEntry = Extract<HistoryEntry, { kind: 'item' }>;

/** `at`: true time, milliseconds. */
interface Change<T> {
  readonly at: number;
  /** null: it is new. */
  readonly before: T | null;
  readonly after: T;
}

export type KeyChange = Change<TenantKey>;
export type JobChange = Change<Job>;
export type RestoreChange = Change<Restore>;

/** Whether a version that was there before has changed in that way. */
export function aVersion(
  { before, after }: KeyChange,
  changed: (was: KeyVersion, is: KeyVersion) => boolean,
): boolean {
  if (before === null) return false;
  return Object.values(after.versions).some((is) => {
    const was = before.versions[String(is.version)];
    return was !== undefined && was !== is && changed(was, is);
  });
}
