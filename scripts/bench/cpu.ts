import { readFileSync } from 'node:fs';

/**
 * CPU time, which does not depend on what else the machine does: of this process, and of a PostgreSQL server's
 * processes (Linux only). The wall time of two programs that need a core each says nothing on a machine whose cores others
 * use too.
 */

export interface CpuTime {
  /** Microseconds of this process, all threads. */
  readonly node: number;
  /** Microseconds of the server's processes; 0 where that cannot be read. */
  readonly server: number;
}

/** `serverPid`: the postmaster's. Its own time, and that of processes that have ended, is left out. */
export function cpuTime(serverPid: number | undefined): CpuTime {
  const { user, system } = process.cpuUsage();
  return { node: user + system, server: serverPid === undefined ? 0 : childrenTime(serverPid) };
}

export function cpuSince(before: CpuTime, serverPid: number | undefined): CpuTime {
  const now = cpuTime(serverPid);
  return { node: now.node - before.node, server: now.server - before.server };
}

function childrenTime(pid: number): number {
  if (process.platform !== 'linux') return 0;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  // Nanoseconds on a core, nanoseconds in wait for one, turns (the kernel's Documentation/scheduler/sched-stats.rst).
  const times = children.map((child) => Number(readSchedule(child).split(' ')[0]));
  return times.reduce((sum, time) => sum + time, 0) / 1000;
}

function readSchedule(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/schedstat`, 'utf8');
  } catch {
    return '0'; // It ended just now.
  }
}
