import type { Mutant } from './mutant.ts';

/** Breaks of a purge: the fence, the rehearsal, the count, the decision, the erasure. */

const NO_CANARY = [
  {
    file: 'shared/rotation/call-off-purge.ts',
    from: '  if (key.canary !== null) {',
    to: "  if (key.canary !== null && key.tenant === '') {",
  },
  {
    file: 'shared/keyring/destruction.ts',
    from: "  if (key.canary !== null) throw refused(key, found, 'was asked for in between');",
    to: '',
  },
  {
    file: 'shared/keyring/destruction.ts',
    from: "  if (key.canary !== null) throw refused(key, found, 'was asked for since');",
    to: '',
  },
] as const;

const NO_EPOCH = [
  {
    file: 'shared/rotation/call-off-purge.ts',
    from: '  if (key.restoreEpoch !== job.restoreEpoch)',
    to: '  if (key.restoreEpoch < job.restoreEpoch)',
  },
  {
    file: 'shared/keyring/destruction.ts',
    from: "  if (key.restoreEpoch !== restoreEpoch) throw refused(key, found, 'had a store restored in between');",
    to: '',
  },
] as const;

const NO_HOLDS = [
  {
    file: 'shared/rotation/call-off-purge.ts',
    from: '  if (holds.length > 0) return',
    to: '  if (holds.length > 1000) return',
  },
  {
    file: 'shared/rotation/purge-rules.ts',
    from: '  if (holds.length > 0) {',
    to: '  if (holds.length > 1000) {',
  },
  {
    file: 'shared/rotation/sweep-daily.ts',
    from: "    if (state === 'RETIRING' && standingHolds(key, version, deps.clock.now(), deps.config).length > 0)\n      continue;",
    to: '',
  },
] as const;

/** Whatever the census of a purge found. */
export const NO_COUNT = [
  {
    file: 'shared/rotation/destroy-version.ts',
    from: '  if (census.onVersion > 0) {',
    to: '  if (census.onVersion > 1000) {',
  },
  {
    file: 'shared/certificates/inconsistencies.ts',
    from: '  if (census.onVersion > 0) problems.push(',
    to: '  if (census.onVersion > 1000) problems.push(',
  },
  {
    file: 'shared/rotation/destroy-version.ts',
    from: '  if (hidden !== null) {',
    to: "  if (hidden === '') {",
  },
  {
    file: 'shared/certificates/inconsistencies.ts',
    from: '    if ((onVersionBySearch ?? 0) > 0)',
    to: '    if ((onVersionBySearch ?? 0) > 1000)',
  },
] as const;

export const PURGE_MUTANTS: readonly Mutant[] = [
  {
    name: 'purge-without-count',
    breaks:
      'a version is purged whatever the count finds on it, and also before its rotation came to a clean end',
    rules: ['1', '8', '17'],
    needs: ['index-frozen'],
    profile: 'purge',
    edits: [
      ...NO_COUNT,
      {
        file: 'shared/rotation/purge-rules.ts',
        from: '  if (found.purgeNotBefore === null) {',
        to: "  if (found.purgeNotBefore === '') {",
      },
      {
        file: 'shared/keyring/destruction.ts',
        from: '  if (found.purgeNotBefore === null)\n',
        to: "  if (found.purgeNotBefore === '')\n",
      },
      {
        file: 'shared/keyring/destruction.ts',
        from: '  if (at < found.purgeNotBefore) throw',
        to: '  if (found.purgeNotBefore !== null && at < found.purgeNotBefore) throw',
      },
    ],
  },
  {
    name: 'purge-ignores-quarantine',
    breaks: 'quarantined values keep no version from its destruction',
    rules: ['17'],
    needs: ['truncated', 'bit-flipped'],
    profile: 'purge',
    edits: [
      {
        file: 'shared/rotation/destroy-version.ts',
        from: '  if (held.length > 0) {',
        to: '  if (held.length > 1000) {',
      },
      ...NO_COUNT,
    ],
  },
  {
    name: 'purge-ignores-malformed',
    breaks: 'values whose version cannot be told are taken for values that need none',
    // Liveness: the certificate refuses what the count found.
    rules: ['17', 'liveness'],
    needs: ['truncated'],
    profile: 'purge',
    edits: [
      {
        file: 'shared/rotation/destroy-version.ts',
        from: '  if (census.malformed > 0) {',
        to: '  if (census.malformed > 1000) {',
      },
      {
        file: 'shared/rotation/destroy-version.ts',
        from: '(version === job.from || version === null)',
        to: '(version === job.from)',
      },
    ],
  },
  {
    name: 'purge-ignores-canary',
    breaks: 'an application that asks for a fenced version does not call its purge off',
    rules: ['6'],
    profile: 'purge',
    edits: NO_CANARY,
  },
  {
    name: 'canary-not-marked',
    breaks: 'a fenced version is given out without a mark',
    rules: ['6'],
    profile: 'purge',
    edits: [
      {
        file: 'shared/keyring/cached-keyring.ts',
        from: '    if (permission.alarm) await rescue(name, permission.version.version, where);',
        to: '    if (permission.alarm && name.tenant === "") await rescue(name, permission.version.version, where);',
      },
    ],
  },
  {
    name: 'purge-without-epoch',
    breaks: 'a store that is restored during a purge does not void it',
    rules: ['9'],
    needs: ['restore'],
    profile: 'purge',
    edits: [
      ...NO_EPOCH,
      {
        file: 'shared/rotation/holds.ts',
        from: '  const holds = key.holds.map((hold) => extended(hold, config));',
        to: "  const holds = key.holds.filter(({ reason }) => reason !== 'RESTORE').map((hold) => extended(hold, config));",
      },
      {
        file: 'shared/keyring/holds.ts',
        from: "  return { ...version, state: 'RETIRING', destroyPendingAt: null };",
        to: '  return version;',
      },
    ],
  },
  {
    name: 'purge-ignores-holds',
    breaks: 'a version that a backup contains is destroyed',
    rules: ['1', '8'],
    profile: 'purge',
    edits: NO_HOLDS,
  },
  {
    name: 'no-backup-holds',
    breaks: 'a retirement places no holds for the backups that contain the version',
    rules: ['1', '8'],
    profile: 'purge',
    edits: [
      {
        file: 'shared/rotation/holds.ts',
        from: '  return prunedHolds({ ...key, holds: [...kept, ...placed] });',
        to: '  return prunedHolds({ ...key, holds: kept });',
      },
    ],
  },
  {
    name: 'purge-before-grace',
    breaks: 'a purge begins although the grace of its version lasts',
    rules: ['8', '21'],
    edits: [
      {
        file: 'shared/rotation/purge-rules.ts',
        from: '  if (now < due) {',
        to: '  if (now < due - 30 * 86_400_000) {',
      },
      {
        file: 'shared/keyring/destruction.ts',
        from: '  if (at < found.purgeNotBefore) throw',
        to: "  if (at === '') throw",
      },
      {
        file: 'shared/rotation/sweep-daily.ts',
        from: 'if (!isDue({ state, ...rest }, deps.clock.now())) continue;',
        to: "if (state !== 'DESTROY_PENDING' && (state !== 'RETIRING' || rest.purgeNotBefore === null)) continue;",
      },
      ...NO_HOLDS.slice(0, 2),
    ],
  },
  {
    name: 'no-fence-before-count',
    breaks: 'the census of a purge is taken at once, while applications do not know of it',
    rules: ['8'],
    edits: [
      {
        file: 'shared/rotation/begin-purge.ts',
        from: '          barrierUntil: timestamp(pendingAt + barrierMs),',
        to: '          barrierUntil: timestamp(pendingAt + 0 * barrierMs),',
      },
    ],
  },
  {
    name: 'erase-without-authorization',
    breaks: 'the blob is erased whether or not the destruction was decided',
    rules: ['6', '25'],
    edits: [
      {
        file: 'shared/keyring/destruction.ts',
        from: "  if (found.state !== 'DESTROY_PENDING' || found.destroyAuthorizedAt === null) {\n    throw refused(key, found, `is ${found.state} and its destruction is not authorized`);\n  }\n  if (key.canary !== null)",
        to: '  if (key.canary !== null)',
      },
      {
        file: 'shared/rotation/destroy-version.ts',
        from: '(await authorizeIfAgreed(deps, job, census));',
        to: 'null;',
      },
    ],
  },
  {
    name: 'destroyed-before-its-erasure',
    breaks: 'a version is called DESTROYED while its blob is still there',
    rules: ['6'],
    edits: [
      {
        file: 'shared/keyring/destruction.ts',
        from: "    state: 'DESTROYED',\n    wrapped: null,",
        to: "    state: 'DESTROYED',",
      },
    ],
  },
  {
    name: 'sighting-is-forgotten',
    breaks: 'a version on which something was found after its retirement keeps its old grace',
    rules: ['8'],
    needs: ['restore'],
    profile: 'restored',
    edits: [
      {
        file: 'shared/keyring/versions.ts',
        from: '  return retire(key, allLeft(key), retirement);',
        to: '  return retire(key, [], retirement);',
      },
      {
        file: 'shared/keyring/sightings.ts',
        from: '  return seen !== null && seen.cleanAt === null;',
        to: '  return seen !== null && seen.cleanAt === "";',
      },
      {
        file: 'shared/keyring/sightings.ts',
        from: '  if (key.rotationId === jobId) return endRetirement(key, numbers);',
        to: '  if (key.rotationId === jobId) return key;',
      },
    ],
  },
  {
    name: 'cancelled-purge-goes-on',
    breaks: 'a purge that a person called off destroys its version all the same',
    rules: ['6'],
    profile: 'called-off',
    edits: [
      {
        file: 'shared/rotation/change.ts',
        from: "  if (job.status === 'PAUSED') throw jobPaused(job.jobId);\n  if (job.status === 'CANCELLED') throw jobCancelled(job.jobId);",
        to: '',
      },
      {
        file: 'shared/rotation/check-barrier.ts',
        from: "  if (job.status !== 'CENSUS') return true;",
        to: '',
      },
      {
        file: 'shared/rotation/cancel-job.ts',
        from: '  await deps.executions.stop(',
        to: "  if (job.kind === 'rotate') await deps.executions.stop(",
      },
      {
        file: 'shared/rotation/cancel-job.ts',
        from: '    (current) => callOffPurge(current, job.from) ?? touch(current),',
        to: '    (current) => touch(current),',
      },
    ],
  },
  {
    name: 'sweep-begins-anew',
    breaks: 'the daily sweep begins a purge anew that a person called off',
    rules: ['6'],
    profile: 'called-off',
    edits: [
      {
        file: 'shared/rotation/request-job.ts',
        from: "    current.status === 'CANCELLED' && mayTakeUp(current)",
        to: "    current.status === 'CANCELLED'",
      },
      // Its first look, too; else only a cancel in that very moment would show it.
      {
        file: 'shared/rotation/sweep-daily.ts',
        from: ' || (job !== null && !mayTakeUp(job))',
        to: '',
      },
    ],
  },
  {
    name: 'held-purges-are-forgotten',
    breaks:
      'a purge that a hold stopped, or a restore, is not begun anew when nothing holds its version any more',
    rules: ['liveness'],
    needs: ['restore'],
    profile: 'left-held',
    edits: [
      {
        file: 'shared/rotation/retry-rotation.ts',
        from: 'OPEN_TRANSACTIONS: HOUR_MS, HELD: HOUR_MS, KEY_CHANGED: HOUR_MS }',
        to: 'OPEN_TRANSACTIONS: HOUR_MS }',
      },
    ],
  },
  {
    name: 'refused-is-failed',
    breaks: 'what a step is refused is called a failure, so that it says nothing of what to do',
    rules: ['liveness'],
    profile: 'held-late',
    edits: [
      {
        file: 'shared/rotation/blocker-of-refusal.ts',
        from: '  return refused === undefined ? null : ',
        to: '  return refused?.code !== undefined ? null : ',
      },
    ],
  },
];
