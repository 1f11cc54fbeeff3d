import { loadConfig } from '../../shared/config/load.ts';
import { createConfiguredKeyring } from '../../shared/deps/compose.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { createDice } from '../../simulation/dice.ts';
import { FIELDS, PURPOSE, RECORD_SET, tenantName } from '../demo/records.ts';
import { writeStackFolder } from '../demo/stack-folder.ts';
import { type Application, CREATE_TABLE, createApplication, createPool } from './application.ts';
import { createFigures, type Figures } from './figures.ts';
import { createJournal, type Journal } from './journal.ts';
import { createVictim, type Victim } from './victim.ts';

/** A stack with tenants, records and an application on it. */
export interface World {
  readonly seed: number;
  readonly tenants: number;
  readonly victim: Victim;
  readonly application: Application;
  readonly journal: Journal;
  readonly figures: Figures;
  /** What happened, in order. */
  readonly timeline: readonly string[];
  readonly violations: string[];
  /** Where kills fell that were aimed at a moment, with how often. */
  readonly moments: Map<string, number>;
  note(what: string): void;
}

/** Seconds instead of the days of real life. Never for real data: see docs/configuration.md. */
const TIMES = {
  cacheMaxAgeSeconds: 1,
  cacheCeilingSeconds: 60,
  clockSkewSeconds: 0,
  maxTransactionSeconds: 2,
  graceSeconds: 3,
  backupRetentionSeconds: 0,
  soakSeconds: 1,
  acceptShortGrace: true,
  stallSeconds: 4,
  chunkSize: 10,
  segments: 2,
};
/** Of `maxTransactionSeconds`: the rest is for the way to the database. */
const LONGEST_MS = 1_000;

const DATABASE = 'chaos';
const TENANTS = 3;
const RECORDS = 300;

const CONFIG = {
  approvals: { required: 0, acceptNoApprovals: true },
  stores: { main: { type: 'postgres', embedded: DATABASE, tls: 'off' } },
  recordSets: {
    [RECORD_SET]: {
      store: 'main',
      table: 'clients',
      key: ['id'],
      tenant: { column: 'practice' },
      purpose: PURPOSE,
      fields: FIELDS.map((name) => ({ name, column: `${name}_enc`, sensitivity: 'high' })),
    },
  },
  rotation: TIMES,
};

/** Starts it in an empty folder. `onVictim`: called before the first process is started. */
export async function createWorld(
  dir: string,
  seed: number,
  onVictim: (victim: Victim) => void,
): Promise<World> {
  const began = performance.now();
  const timeline: string[] = [];
  const violations: string[] = [];
  const note = (what: string) => {
    timeline.push(`${((performance.now() - began) / 1000).toFixed(3).padStart(9)} s  ${what}`);
  };
  const figures = createFigures();
  const victim = createVictim({
    dir,
    seed,
    database: DATABASE,
    loaded: await loadConfig(await writeStackFolder(dir, CONFIG)),
    onHeld: () => figures.add('held', 1),
    onQueue({ doubled, delayed, reordered }) {
      figures.add('doubled', doubled);
      figures.add('delayed', delayed);
      figures.add('reordered', reordered);
    },
  });
  onVictim(victim);
  await victim.start();
  const { deps } = victim;
  const journal = createJournal();
  // The application lives on when the stack is killed: what it has cached, it keeps.
  const keyring = createConfiguredKeyring({
    ...deps,
    ledger: {
      getKey: (tenant, purpose) => victim.deps.ledger.getKey(tenant, purpose),
      markUsed: (tenant, purpose, use) => victim.deps.ledger.markUsed(tenant, purpose, use),
    },
  });
  const application = createApplication({
    keyring,
    journal,
    dice: createDice(seed, 'application'),
    tenants: TENANTS,
    records: RECORDS,
    longestMs: LONGEST_MS,
    onViolation(what) {
      note(`VIOLATION: ${what}`);
      violations.push(what);
    },
  });
  const pool = createPool(victim.databaseUrl);
  await pool.query(CREATE_TABLE);
  await pool.end();
  for (let i = 0; i < TENANTS; i++) await createKey(deps, tenantName(i), PURPOSE);
  application.connect(victim.databaseUrl);
  await application.fill();
  note(`${RECORDS} records of ${TENANTS} tenants`);
  return {
    ...{ seed, tenants: TENANTS, victim, application, journal, figures, timeline, violations, note },
    moments: new Map(),
  };
}
