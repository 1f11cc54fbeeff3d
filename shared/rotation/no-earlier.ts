import type { Timestamp } from '../keyring/key.ts';

/**
 * Now, or the latest of what has happened before, where this machine's clock stands behind that. For the beginning of a
 * wait (barrier, grace, hold), which a clock that was set back must not shorten (docs/protocol.md). Whether a wait is over is
 * decided by the clock alone: there a clock that is behind waits longer, and a time that a clock ahead wrote ends nothing.
 */
export function noEarlierThan(now: number, happened: readonly (Timestamp | null | undefined)[]): number {
  const times = happened.filter((time) => time !== null && time !== undefined);
  return Math.max(now, ...times.map((time) => Date.parse(time)));
}
