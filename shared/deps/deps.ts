import type { AuditArchive } from '../audit/archive.ts';
import type { Audit } from '../audit/audit.ts';
import type { EventBus } from '../bus/event-bus.ts';
import type { Clock, NewId } from '../clock/clock.ts';
import type { Config } from '../config/schema.ts';
import type { RandomFill } from '../envelope/types.ts';
import type { Executions } from '../executions/executions.ts';
import type { Keyring } from '../keyring/keyring.ts';
import type { State } from '../ledger/authentication/state-key.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log/log.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { RootKeyProvider } from '../providers/root-key-provider.ts';
import type { WorkQueue } from '../queue/work-queue.ts';
import type { RecordSets } from '../records/record-sets.ts';
import type { Signer } from '../signing/signer.ts';

/** Everything that the domain reaches the world through. Made once, in the composition root. */
export interface Deps {
  readonly config: Config;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly random: RandomFill;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Every change of state that it writes has its entry in the audit chain. */
  readonly ledger: Ledger;
  /** How long point-in-time backups of the ledger still hold what was erased from it; 0: it has none. Seconds. */
  readonly ledgerBackupSeconds: number;
  readonly audit: Audit;
  /** Where the audit chain is exported to. */
  readonly archive: AuditArchive;
  /** What the ledger's items and the queue's messages are authenticated with. */
  readonly state: State;
  readonly provider: RootKeyProvider;
  readonly keyring: Keyring;
  readonly recordSets: RecordSets;
  readonly queue: WorkQueue;
  readonly executions: Executions;
  readonly bus: EventBus;
  readonly signer: Signer;
}
