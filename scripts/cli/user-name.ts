import { userInfo } from 'node:os';

/** Of the person at the command line, as this machine knows them. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // The user id has no name on this machine.
    return `user ${process.getuid?.() ?? 'unknown'}`;
  }
}
