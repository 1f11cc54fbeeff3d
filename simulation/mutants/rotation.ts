import type { Mutant } from './mutant.ts';

/** Breaks of a rotation's own steps: the lock, the proof, the activation, the sweep, the barrier, the census. */
export const ROTATION_MUTANTS: readonly Mutant[] = [
  {
    name: 'activate-before-proof',
    breaks: 'a version is activated that no second step unwrapped',
    rules: ['4'],
    edits: [
      {
        file: 'shared/rotation/prove-version.ts',
        from: "  if (job.goal === 'RESWEEP') return;",
        to: '  if (job.attempt > 0) return;',
      },
      {
        file: 'shared/keyring/versions.ts',
        from: "  if (found.provedAt === null || found.check === null) throw refused(key, found, 'was not proved');",
        to: '',
      },
    ],
  },
  {
    name: 'no-lock',
    breaks: 'a second rotation takes the lock of one that runs',
    rules: ['3', '18'],
    edits: [
      {
        file: 'shared/rotation/create-version.ts',
        from: 'if (key.rotationId !== null || key.active !== job.from) {',
        to: 'if (key.active !== job.from) {',
      },
      {
        file: 'shared/keyring/versions.ts',
        from: '  if (key.rotationId === added.rotationId) return key;\n  requireLock(key, null);',
        to: '  if (key.rotationId === added.rotationId) return key;',
      },
    ],
  },
  {
    name: 'retry-makes-another-version',
    breaks: 'a repeated first step adds one more version instead of finding its own',
    rules: ['18'],
    edits: [
      {
        file: 'shared/rotation/create-version.ts',
        from: 'if (key.rotationId !== jobId && job.startedAt === null) {',
        to: 'if (job.startedAt === null) {',
      },
      {
        file: 'shared/rotation/create-version.ts',
        from: 'if (key.rotationId !== null || key.active !== job.from) {',
        to: 'if (key.active !== job.from) {',
      },
      {
        file: 'shared/keyring/versions.ts',
        from: '  if (key.rotationId === added.rotationId) return key;\n  requireLock(key, null);',
        to: '',
      },
    ],
  },
  {
    name: 'two-active-versions',
    breaks: 'the old version stays ACTIVE when its successor is activated',
    rules: ['3'],
    edits: [
      {
        file: 'shared/keyring/versions.ts',
        from: "  const state = left.state === 'ACTIVE' ? 'RETIRING' : left.state;",
        to: '  const state = left.state;',
      },
    ],
  },
  {
    name: 'pointer-left-behind',
    breaks: 'the pointer goes on naming the version that was left',
    rules: ['3'],
    edits: [
      {
        file: 'shared/keyring/versions.ts',
        from: '    { active: version, activations: key.activations + 1 },',
        to: '    { active: key.active === 0 ? version : key.active, activations: key.activations + 1 },',
      },
    ],
  },
  {
    name: 'skip-barrier',
    breaks: 'the census does not wait until writers have given up the old version',
    rules: ['5'],
    edits: [
      {
        file: 'shared/rotation/check-barrier.ts',
        from: '  if (left > 0) return',
        to: "  if (left > 0 && job.kind === 'purge') return",
      },
    ],
  },
  {
    name: 'barrier-from-the-request',
    breaks: 'the barrier counts from when the rotation was asked for, not from the activation',
    rules: ['5'],
    edits: [
      {
        file: 'shared/rotation/activate-version.ts',
        from: '  const barrierUntil = timestamp(activated + job.times.barrierSeconds * 1000);',
        to: '  const barrierUntil = timestamp(Math.min(activated, Date.parse(job.requestedAt) - 3600_000) + job.times.barrierSeconds * 1000);',
      },
    ],
  },
  {
    name: 'census-by-index',
    breaks: 'the census asks a lagging list which records are stale, not the envelopes',
    rules: ['7', '16'],
    needs: ['index-frozen'],
    edits: [
      {
        file: 'shared/rotation/take-census.ts',
        from: '  return { count: await deps.recordSets.store(recordSet).census(scope, segment, reachOf(job)) };',
        to: `  const store = deps.recordSets.store(recordSet);
  const count = await store.census(scope, segment, reachOf(job));
  if (job.kind === 'purge') return { count };
  const { keys } = await store.listStale(scope, job.to, segment, null, 1000);
  if (keys.length > 0) return { count };
  const values = Object.values(count.versions).reduce((sum: number, n: number) => sum + n, 0);
  return { count: { ...count, versions: { [String(job.to)]: values }, foreign: 0, malformed: 0 } };`,
      },
    ],
  },
  {
    name: 'complete-by-progress',
    breaks: 'a sweep whose counters are full completes the rotation, whatever the census says',
    rules: ['16'],
    edits: [
      {
        file: 'shared/rotation/conclude-round.ts',
        from: '  const left = census.stale - quarantined;',
        to: '  const left = 0 * (census.stale - quarantined);',
      },
    ],
  },
  {
    name: 'census-before-sweep-counts',
    breaks: 'the census of an earlier attempt counts for a later one',
    rules: ['16', '19'],
    edits: [
      {
        file: 'shared/rotation/take-census.ts',
        from: '  return `attempt-${attempt}-round-${round}`;',
        to: '  return `attempt-${Math.min(attempt, 1)}-round-${Math.min(round, 1)}`;',
      },
      {
        file: 'shared/rotation/take-census.ts',
        from: '  const plan = await deps.ledger.getRound(task.jobId, task.round);',
        to: `  const known = await deps.ledger.listSegmentCensus(task.jobId, censusName(job.attempt, task.round));
  if (known.some(({ segment }) => segment === task.segment)) return;
  const plan = await deps.ledger.getRound(task.jobId, task.round);`,
      },
    ],
  },
  {
    name: 'retire-without-census',
    breaks: 'a rotation is completed whose last census was not clean',
    rules: ['16'],
    edits: [
      {
        file: 'shared/rotation/conclude-round.ts',
        from: "    if (decision.outcome === 'BLOCKED') {",
        to: "    if (decision.outcome === 'BLOCKED' && decision.blocker.message === '') {",
      },
    ],
  },
  {
    name: 'retirement-forgets-its-grace',
    breaks: 'a version may be purged as soon as its rotation is complete',
    rules: ['8', '21'],
    edits: [
      {
        file: 'shared/rotation/retire-version.ts',
        from: 'timestamp(now + (job.times.graceSeconds + clockSkewSeconds) * 1000)',
        to: 'timestamp(now + clockSkewSeconds * 1000)',
      },
      {
        file: 'shared/rotation/purge-rules.ts',
        from: '    config.rotation.graceSeconds * 1000;',
        to: '    0;',
      },
      {
        file: 'shared/rotation/holds.ts',
        from: '  return own ?? config.rotation.backupRetentionSeconds;',
        to: '  return Math.min(own ?? config.rotation.backupRetentionSeconds, 60);',
      },
    ],
  },
  {
    name: 'rotation-never-rechecks-lost-messages',
    breaks: 'a sweep with a lost message is never given up, so that the rotation hangs for ever',
    rules: ['16', 'liveness'],
    needs: ['queue-retention-expiry'],
    edits: [
      {
        file: 'shared/rotation/check-sweep.ts',
        from: "  return stalled ? 'stalled' : 'running';",
        to: "  return stalled ? 'running' : 'running';",
      },
    ],
  },
  {
    name: 'one-round-only',
    breaks: 'what the first round left is neither swept again nor named',
    rules: ['16'],
    edits: [
      {
        file: 'shared/rotation/conclude-round.ts',
        from: "  if (left <= 0 && unread.length === 0) return { outcome: 'CLEAN' };",
        to: "  if ((left <= 0 && unread.length === 0) || round > 1) return { outcome: 'CLEAN' };",
      },
    ],
  },
  {
    name: 'job-stops-without-blocker',
    breaks: 'a job whose step failed for good stays as it was, without an end or a reason',
    rules: ['liveness'],
    edits: [
      {
        file: 'shared/rotation/stop-job.ts',
        from: '    blockJob(current, code, message, deps.clock.now()),',
        to: '    isRunning(current.status) ? current : blockJob(current, code, message, deps.clock.now()),',
      },
      {
        file: 'shared/rotation/sweep-daily.ts',
        from: '      if (await recoverJob(deps, job)) result.recovered += 1;',
        to: '      if (job.jobId === "") result.recovered += 1;',
      },
    ],
  },
];
