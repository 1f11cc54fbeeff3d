/** What is checked: each model within its bounds, each rule broken, and each place that must be reached. README.md has the same. */

export interface Case {
  readonly name: string;
  readonly model: Model;
  /** `holds`: no step of any run violates an assertion. `breaks`: one does, and Spin says how. */
  readonly expected: 'holds' | 'breaks';
  /** Flags that bound the model. */
  readonly bounds: readonly string[];
  /** The flag that breaks one rule, or reports that a place was reached; left out: the protocol as it is. */
  readonly flag?: string;
  /** Minutes and gigabytes: only with --full. */
  readonly full?: true;
}

export const MODELS = ['rotation', 'purge', 'approvals', 'root-key', 'barrier'] as const;
export type Model = (typeof MODELS)[number];

/** Flags that bound a model, or choose one of its variants. Every other flag breaks a rule or is a probe. */
export const BOUNDS: readonly string[] = [
  'VERSIONS',
  'RECORDS',
  'EXECUTIONS',
  'NO_WRITER',
  'NO_BACKUPS',
  'NO_ROLLBACKS',
  'DATABASE_FENCE',
  'ARCHIVE',
  'NO_APPLICATION',
  'NO_RESTORES',
  'NO_OWNER',
  'DISABLES',
  'DEATHS',
  'TICKS',
];

const SWEEPS = ['-DRECORDS=2', '-DNO_BACKUPS'];
const SIDE_BY_SIDE = ['-DEXECUTIONS=2', '-DNO_BACKUPS', '-DNO_WRITER'];
const RESTORES = ['-DNO_ROLLBACKS'];
const ARCHIVED = ['-DARCHIVE', '-DNO_ROLLBACKS', '-DNO_WRITER'];
const FENCE = ['-DDATABASE_FENCE', '-DNO_ROLLBACKS', '-DNO_BACKUPS'];
const CANARY = ['-DNO_RESTORES', '-DNO_OWNER'];
const RESTORED = ['-DNO_APPLICATION', '-DNO_OWNER'];
const SUSPENDED = ['-DNO_APPLICATION', '-DNO_RESTORES'];

const holds = (model: Model, name: string, bounds: readonly string[], full?: true): Case => ({
  ...{ name, model, expected: 'holds', bounds },
  ...(full ? { full } : {}),
});
const breaks = (model: Model, flag: string, bounds: readonly string[]): Case => ({
  ...{ name: flag, model, expected: 'breaks', bounds, flag },
});

export const CASES: readonly Case[] = [
  holds('rotation', 'sweeps', SWEEPS),
  holds('rotation', 'side-by-side', SIDE_BY_SIDE),
  holds('rotation', 'restores', RESTORES),
  holds('rotation', 'archived-backups', ARCHIVED),
  holds('rotation', 'database-fence', FENCE),
  holds('purge', 'canary', CANARY),
  holds('purge', 'restored', RESTORED),
  holds('purge', 'suspended', SUSPENDED),
  holds('approvals', 'approvals', []),
  holds('root-key', 'root-key', []),
  holds('barrier', 'barrier', []),

  holds('rotation', 'two-rotations', ['-DVERSIONS=3', '-DNO_BACKUPS'], true),
  holds('rotation', 'restores-and-rollbacks', ['-DNO_WRITER'], true),
  holds('purge', 'canary-and-restored', ['-DNO_OWNER'], true),
  holds('root-key', 'root-key-often', ['-DDISABLES=6', '-DDEATHS=6'], true),

  ...['UNFENCED_WRITER', 'UNFENCED_WORKER', 'SKIP_BARRIER', 'NO_PENDING', 'ACTIVATE_BEFORE_PROOF'].map(
    (flag) => breaks('rotation', flag, ['-DNO_BACKUPS']),
  ),
  ...['NO_CAS', 'CAS_VERSION_ONLY', 'WORKER_LOWERS'].map((flag) =>
    breaks('rotation', flag, ['-DNO_BACKUPS']),
  ),
  breaks('rotation', 'GSI_VERIFY', ['-DNO_BACKUPS', '-DNO_WRITER']),
  breaks('rotation', 'NO_BACKUP_GATE', RESTORES),
  breaks('rotation', 'NO_EPOCH', ARCHIVED),
  breaks('rotation', 'RESTORE_AFTER_ROWS', ARCHIVED),
  breaks('rotation', 'RELEASE_HOLD_BEFORE_SWEEP', RESTORES),
  breaks('rotation', 'NO_LOCK', ['-DVERSIONS=3', '-DEXECUTIONS=2', '-DNO_BACKUPS', '-DNO_WRITER']),
  breaks('rotation', 'RETRY_MAKES_SECOND_VERSION', ['-DVERSIONS=3', '-DNO_BACKUPS', '-DNO_WRITER']),
  breaks('rotation', 'FENCE_INSTEAD_OF_BARRIER', ['-DNO_BACKUPS']),
  breaks('purge', 'MARK_CLEARED_FIRST', CANARY),
  breaks('purge', 'MARK_NOT_COMPARED', CANARY),
  breaks('purge', 'SOAK_IGNORES_CANARY', CANARY),
  breaks('purge', 'SEEN_FORGOTTEN', CANARY),
  breaks('purge', 'FENCE_NOT_COMPARED', RESTORED),
  breaks('purge', 'RESTORE_NOT_SEEN', RESTORED),
  breaks('purge', 'RESTORE_REGISTERED_LATE', RESTORED),
  breaks('purge', 'PURGE_WHILE_SUSPENDED', SUSPENDED),

  ...[
    'SELF_APPROVAL',
    'SAME_PERSON_TWICE',
    'APPROVAL_EXPIRED',
    'APPROVAL_REUSED',
    'APPROVAL_FOR_OTHER_CENSUS',
    'APPROVAL_FOR_OTHER_EPOCH',
  ].map((flag) => breaks('approvals', flag, [])),
  ...['RESUME_TO_FORMER_STATE', 'SUSPENDED_COUNTS_AS_FAILED', 'EVENTS_ONLY'].map((flag) =>
    breaks('root-key', flag, []),
  ),
  ...[
    'BARRIER_WITHOUT_AGE',
    'BARRIER_WITHOUT_SKEW',
    'BARRIER_WITHOUT_TRANSACTION',
    'BARRIER_FROM_BEFORE',
    'WALL_CLOCK_ONLY',
    'MONOTONIC_CLOCK_ONLY',
    'BOTH_CLOCKS_WRONG',
    'FENCE_WITHOUT_REVISION',
    'ROLLBACK_WITHOUT_LOWERING',
  ].map((flag) => breaks('barrier', flag, [])),

  ...['PROBE_DESTROYED', 'PROBE_ROLLBACK', 'PROBE_RETRY'].map((flag) =>
    breaks('rotation', flag, ['-DNO_BACKUPS', '-DNO_WRITER']),
  ),
  ...['PROBE_RESTORED', 'PROBE_WITHDRAWN'].map((flag) => breaks('rotation', flag, RESTORES)),
  breaks('rotation', 'PROBE_SECOND_ROTATION', ['-DVERSIONS=3', '-DNO_BACKUPS', '-DNO_WRITER']),
  ...['PROBE_RENEWED', 'PROBE_TAKEN_BACK', 'PROBE_OVERTAKEN'].map((flag) => breaks('purge', flag, CANARY)),
  ...['PROBE_SUSPENDED', 'PROBE_RESUMED_AND_DESTROYED'].map((flag) => breaks('purge', flag, SUSPENDED)),
  ...['PROBE_AGREED', 'PROBE_AGREED_AGAIN', 'PROBE_REPLACED'].map((flag) => breaks('approvals', flag, [])),
  ...['PROBE_ACTIVATED_WHILE_SUSPENDED', 'PROBE_PAUSED', 'PROBE_DEATHS'].map((flag) =>
    breaks('root-key', flag, []),
  ),
  ...['PROBE_PASSED', 'PROBE_OLD_STORED', 'PROBE_LATE_RAISE'].map((flag) => breaks('barrier', flag, [])),
];
