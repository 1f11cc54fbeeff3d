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
    rules: ['6'],
    profile: 'hasty',
    edits: [
      {
        file: 'shared/rotation/create-version.ts',
        from: 'if (key.rotationId !== null || key.active !== job.from) {',
        to: 'if (key.active !== job.from) {',
      },
      {
        file: 'shared/rotation/request-job.ts',
        from: '  if (key.rotationId === null) return null;',
        to: "  if (key.rotationId !== '') return null;",
      },
      {
        file: 'shared/keyring/change-version.ts',
        from: '  if (key.rotationId === rotationId) return;',
        to: "  if (key.rotationId !== '') return;",
      },
    ],
  },
  {
    name: 'retry-makes-another-version',
    breaks: 'a repeated first step adds one more version instead of finding its own',
    rules: ['18'],
    needs: ['step-twice', 'kill-after-call'],
    profile: 'hasty',
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
    rules: ['1', '16'],
    needs: ['index-frozen'],
    edits: [
      {
        file: 'shared/rotation/take-census.ts',
        from: '  const count = await deps.recordSets.store(recordSet).census(scope, segment, reachOf(job));',
        to: `  const store = deps.recordSets.store(recordSet);
  const count = await store.census(scope, segment, reachOf(job));
  const read = placeOf(deps.config, recordSet);
  if (job.kind === 'purge') return { count, read };
  const { keys } = await store.listStale(scope, job.to, segment, null, 1000);
  if (keys.length > 0) return { count, read };
  const values = Object.values(count.versions).reduce((sum: number, n: number) => sum + n, 0);
  return { read, count: { ...count, versions: { [String(job.to)]: values }, foreign: 0, malformed: 0 } };`,
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
    name: 'census-of-one-segment',
    breaks: 'the census counts the first segment, and takes all others for empty',
    rules: ['16'],
    needs: ['index-frozen'],
    edits: [
      {
        file: 'shared/rotation/take-census.ts',
        from: '      ? await countSegment(deps, job, ref)',
        to: '      ? task.segment > 0 ? { ...(await countSegment(deps, job, ref)), count: NO_COUNT } : await countSegment(deps, job, ref)',
      },
    ],
  },
  {
    name: 'retire-without-census',
    breaks: 'the state machine retires the version after a census that was not clean',
    rules: ['6', '16'],
    needs: ['index-frozen'],
    edits: [
      {
        file: 'state-machines/rotate-key.asl.json',
        from: '"StringEquals": "SWEEP_AGAIN",\n          "Next": "PlanSweep"',
        to: '"StringEquals": "SWEEP_AGAIN",\n          "Next": "RetireVersion"',
      },
      {
        file: 'shared/rotation/retire-version.ts',
        from: '  if (!clean)\n',
        to: "  if (!clean && jobId === '')\n",
      },
    ],
  },
  {
    name: 'retirement-forgets-its-grace',
    breaks: 'a version may be purged as soon as its rotation is complete',
    rules: ['1', '8'],
    edits: [
      {
        file: 'shared/rotation/retire-version.ts',
        from: 'const purgeNotBefore = timestamp(now + graceMs(deps.config, job));',
        to: 'const purgeNotBefore = timestamp(now + deps.config.rotation.clockSkewSeconds * 1000);',
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
    breaks: 'what two rounds left is neither swept again nor named',
    rules: ['16'],
    needs: ['index-frozen', 'queue-retention-expiry'],
    edits: [
      {
        file: 'shared/rotation/conclude-round.ts',
        from: "  if (left <= 0 && unread.length === 0) return { outcome: 'CLEAN' };",
        to: "  if ((left <= 0 && unread.length === 0) || round > 1) return { outcome: 'CLEAN' };",
      },
    ],
  },
  {
    name: 'lost-executions-stay-lost',
    breaks: 'the daily sweep does not take up a job whose execution is gone',
    rules: ['liveness'],
    needs: ['execution-aborted'],
    edits: [
      {
        file: 'shared/rotation/sweep-daily.ts',
        from: '      if (await recoverJob(deps, job)) result.recovered += 1;',
        to: "      if (job.jobId === '' && (await recoverJob(deps, job))) result.recovered += 1;",
      },
    ],
  },
  {
    name: 'blocked-rotations-are-forgotten',
    breaks: 'the daily sweep does not take up a rotation that a step stopped which failed',
    rules: ['liveness'],
    needs: ['kms-error', 'store-unavailable'],
    profile: 'left-blocked',
    edits: [
      {
        file: 'shared/rotation/retry-rotation.ts',
        from: '  if (suspended || waits(deps, key, job)) return',
        to: "  if (job.jobId !== '') return",
      },
    ],
  },
];
